//! What is unsafe has its proof above it.

/// A proof is a sentence at least.
const WORDS_MIN: usize = 8;

/// Lines of a text on which something is unsafe and above which no comment says why it is sound. The comment ends on
/// the line before.
pub(super) fn unproven(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_unsafe = |index: &usize| {
        let code = lines[*index].split("//").next().unwrap_or_default();
        code.split(|char: char| !(char.is_alphanumeric() || char == '_')).any(|word| word == "unsafe")
    };
    (0..lines.len()).filter(is_unsafe).filter(|index| !proven(&lines[..*index])).map(|index| index + 1).collect()
}

fn proven(above: &[&str]) -> bool {
    let comment: Vec<&str> = above.iter().rev().map_while(|line| line.strip_prefix("//")).collect();
    let begin = comment.iter().position(|line| line.trim_start().starts_with("SAFETY:"));
    begin.is_some_and(|begin| comment[..=begin].iter().flat_map(|line| line.split_whitespace()).count() > WORDS_MIN)
}

#[test]
fn a_proof_stands_above_what_it_proves() {
    let check = |text: &str, expected: &[usize]| assert_eq!(unproven(text), expected, "{text}");
    let proof = "// SAFETY: the bytes are borrowed for the whole of the call, so they outlive it.";
    check("let a = unsafe { f() };", &[1]);
    check("// SAFETY: fine.\nunsafe { f() }", &[2]);
    check(&format!("{proof}\nunsafe {{ f() }}"), &[]);
    check(&format!("{proof}\n// More of it.\nif unsafe {{ f() }} {{"), &[]);
    check(&format!("{proof}\nlet a = 1;\nunsafe impl Send for A {{}}"), &[3]);
    check("// unsafe\nlet unsafe_call = 1; // unsafe", &[]);
}
