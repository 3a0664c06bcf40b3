//! A directory for files that a test needs on disk.

use std::fs;
use std::path::PathBuf;

/// A directory of this test's own, removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringbell-inspect-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file with pieces at positions; what lies between is a hole.
    pub(crate) fn file(&self, name: &str, length: u64, pieces: &[(u64, &[u8])]) -> PathBuf {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let path = self.0.join(name);
        let mut file = fs::File::create(&path).unwrap();
        file.set_len(length).unwrap();
        for (at, bytes) in pieces {
            file.seek(SeekFrom::Start(*at)).unwrap();
            file.write_all(bytes).unwrap();
        }
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary directory harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
