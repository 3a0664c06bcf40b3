//! The page about the rules says what the table says: both are read by people, and one is right.

use ringbell_rules::RULES;

const PAGE: &str = include_str!("../../../docs/src/rules.md");

/// Headings and bodies of the sections.
fn sections() -> Vec<(&'static str, &'static str)> {
    PAGE.split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap_or((section, "")))
        .map(|(heading, body)| (heading.trim(), body.trim()))
        .collect()
}

#[test]
fn every_rule_has_its_section_in_the_words_of_the_table() {
    let sections = sections();
    for rule in RULES {
        let heading = format!("{} {}", rule.id, rule.slug);
        let body = sections.iter().find(|(known, _)| *known == heading);
        let (_, body) = body.unwrap_or_else(|| panic!("no section `## {heading}` in docs/src/rules.md"));
        let severity = format!("{:?}.", rule.severity);
        let mut letters = rule.summary.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let summary: String = first.into_iter().chain(letters).collect();
        let expected = [
            severity.as_str(),
            summary.as_str(),
            "On Windows:",
            rule.windows,
            "The fix:",
            rule.fix,
            "Found by:",
            rule.detection,
        ];
        let mut rest = *body;
        for part in expected {
            let part = part.trim_end_matches('.');
            // What stands between two parts is punctuation.
            let skipped =
                rest.find(part).unwrap_or_else(|| panic!("{heading}: the page does not say `{part}`"));
            assert!(rest[..skipped].chars().all(|c| ". \n".contains(c)), "{heading}: `{}`", &rest[..skipped]);
            rest = &rest[skipped + part.len()..];
        }
    }
}

#[test]
fn no_section_is_about_a_rule_that_is_not_there() {
    for (heading, _) in sections().iter().filter(|(heading, _)| heading.starts_with("RB")) {
        let known = RULES.iter().any(|rule| *heading == format!("{} {}", rule.id, rule.slug));
        assert!(known, "`## {heading}` is about no rule");
    }
}

#[test]
fn the_numbers_kept_free_are_those_without_a_rule() {
    let sections = sections();
    let (_, body) =
        sections.iter().find(|(heading, _)| *heading == "Numbers that are kept free").expect("a section");
    for number in 1..=21 {
        let name = format!("RB{number:03}");
        let taken = RULES.iter().any(|rule| rule.id.to_string() == name);
        assert_eq!(body.contains(&name), !taken, "{name}");
    }
}
