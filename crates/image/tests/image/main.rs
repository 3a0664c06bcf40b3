//! The image crate against images written byte by byte here: one test per refusal and per feature.

mod builder;
mod load;
mod mutants;
mod names;
mod oracle;
mod real;
mod refusals;
mod tables;
mod unwind;
mod unwind_real;

use ringbell_image as image;
