//! The report as one page: styles, script and data in one file, nothing from elsewhere.
//!
//! A Content-Security-Policy lets the browser load nothing and run exactly this script: it names style and script by their
//! sha256 (Content Security Policy Level 3, 2.3.1). The data is a block of JSON that no script is in.

use sha2::{Digest, Sha256};

use super::data::Report;

const TEMPLATE: &str = include_str!("page/page.html");

const STYLES: [&str; 3] =
    [include_str!("page/base.css"), include_str!("page/charts.css"), include_str!("page/tables.css")];

/// In the order in which they use each other.
const SCRIPTS: [&str; 18] = [
    include_str!("page/format.js"),
    include_str!("page/dom.js"),
    include_str!("page/state.js"),
    include_str!("page/theme.js"),
    include_str!("page/tip.js"),
    include_str!("page/reason.js"),
    include_str!("page/hierarchy.js"),
    include_str!("page/squarify.js"),
    include_str!("page/treemap.js"),
    include_str!("page/overview.js"),
    include_str!("page/details.js"),
    include_str!("page/space.js"),
    include_str!("page/costs.js"),
    include_str!("page/timeline.js"),
    include_str!("page/grid.js"),
    include_str!("page/contents.js"),
    include_str!("page/changes.js"),
    include_str!("page/main.js"),
];

/// The page. `json` is the report as JSON.
pub fn render(report: &Report, json: &str) -> String {
    let style = STYLES.concat();
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat());
    let title = format!("{} {}", report.name, report.version);
    let mut page = String::with_capacity(json.len() + style.len() + script.len() + TEMPLATE.len());
    // One pass, so that nothing that is put in is looked through for marks.
    for (index, piece) in TEMPLATE.split('@').enumerate() {
        if index % 2 == 0 {
            page.push_str(piece);
            continue;
        }
        match piece {
            "TITLE" => page.push_str(&escape_text(title.trim())),
            "STYLE" => page.push_str(&style),
            "SCRIPT" => page.push_str(&script),
            "DATA" => page.push_str(&escape_json(json)),
            "STYLE_HASH" => page.push_str(&source_hash(&style)),
            "SCRIPT_HASH" => page.push_str(&source_hash(&script)),
            other => page.push_str(other),
        }
    }
    page
}

/// Nothing in it can end the element it is in, or begin a comment (HTML, "Restrictions for contents of script elements").
fn escape_json(json: &str) -> String {
    // `<` is only in strings.
    json.replace('<', "\\u003c")
}

fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A hash source of a policy: `sha256-` and base64 (RFC 4648, 4).
fn source_hash(content: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("sha256-");
    for group in Sha256::digest(content).chunks(3) {
        let mut bytes = [0; 4];
        bytes[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bytes);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place > group.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escape_json, escape_text, source_hash};

    #[test]
    fn hashes_as_browsers_do() {
        // The example of CSP Level 3, 8.3.
        assert_eq!(source_hash("doSubmit()"), "sha256-jzgBGA4UWFFmpOBq0JpdsySukE1FrEN5bUpoK8Z29fY=");
        assert_eq!(source_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn nothing_gets_out_of_its_element() {
        assert_eq!(escape_json(r#"{"a":"</script><!--"}"#), r#"{"a":"\u003c/script>\u003c!--"}"#);
        assert_eq!(escape_text("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
