//! Changes distro.toml and leaves the rest of its text, comments too, as it is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use toml_edit::{Array, DocumentMut, RawString, Value};

/// The text with a recipe added at the end of `root.recipes`.
///
/// # Errors
/// It is no TOML, or has no such list.
pub fn add_recipe(distro: &str, name: &str) -> Result<String> {
    change(distro, |recipes| {
        if position(recipes, name).is_some() {
            return;
        }
        let text = |raw: Option<&RawString>| raw.and_then(RawString::as_str).unwrap_or_default().to_owned();
        let last = recipes.iter().last();
        let prefix = last.map(|last| text(last.decor().prefix())).unwrap_or_default();
        let Some((_, indent)) = prefix.rsplit_once('\n') else { return recipes.push(name) };
        // What follows the last element up to the end of its line is its comment.
        let after = match recipes.trailing_comma() {
            true => text(Some(recipes.trailing())),
            false => last.map(|last| text(last.decor().suffix())).unwrap_or_default(),
        };
        let (comment, rest) = after.split_once('\n').unwrap_or((&after, ""));
        let mut value = Value::from(name);
        value.decor_mut().set_prefix(format!("{comment}\n{indent}"));
        if recipes.trailing_comma() {
            recipes.set_trailing(format!("\n{rest}"));
        } else {
            value.decor_mut().set_suffix(format!("\n{rest}"));
            let index = recipes.len() - 1;
            recipes.get_mut(index).into_iter().for_each(|last| last.decor_mut().set_suffix(""));
        }
        recipes.push_formatted(value);
    })
}

/// The text with a recipe taken out of `root.recipes`.
///
/// # Errors
/// As [`add_recipe`].
pub fn remove_recipe(distro: &str, name: &str) -> Result<String> {
    change(distro, |recipes| {
        let Some(index) = position(recipes, name) else { return };
        let removed = recipes.remove(index);
        // The list begins without a space.
        if index == 0
            && let Some(first) = recipes.get_mut(0)
            && let Some(prefix) = removed.decor().prefix().cloned()
        {
            first.decor_mut().set_prefix(prefix);
        }
    })
}

/// Writes a file by rename from a temporary one beside it; its folder is made, its mode stays.
///
/// # Errors
/// As of the file system.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Readable as any other file of the project; temporary files are private otherwise.
    let mode = fs::metadata(path).map_or(fs::Permissions::from_mode(0o666), |metadata| metadata.permissions());
    let mut file = tempfile::Builder::new().prefix(".mkdistro.").permissions(mode).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn position(recipes: &Array, name: &str) -> Option<usize> {
    recipes.iter().position(|recipe| recipe.as_str() == Some(name))
}

fn change(distro: &str, change: impl FnOnce(&mut Array)) -> Result<String> {
    let mut document: DocumentMut = distro.parse().context("reading distro.toml")?;
    let recipes = document.get_mut("root").and_then(|root| root.get_mut("recipes"));
    let recipes = recipes.and_then(|recipes| recipes.as_array_mut()).context("distro.toml has no list root.recipes")?;
    change(recipes);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::{add_recipe, remove_recipe};

    #[test]
    fn adds_a_recipe() {
        for (before, after) in [
            ("recipes = [\"a\", \"b\"] # c", "recipes = [\"a\", \"b\", \"jq\"] # c"),
            ("recipes = []", "recipes = [\"jq\"]"),
            (
                "# one\nrecipes = [\n    # two\n    \"a\", # three\n    \"b\", # four\n    # five\n]\n# six",
                "# one\nrecipes = [\n    # two\n    \"a\", # three\n    \"b\", # four\n    \"jq\",\n    # five\n]\n# six",
            ),
            ("recipes = [\n  \"a\",\n]", "recipes = [\n  \"a\",\n  \"jq\",\n]"),
            ("recipes = [\n  \"a\"\n]", "recipes = [\n  \"a\",\n  \"jq\"\n]"),
            ("recipes = [\n  \"a\" # b\n]", "recipes = [\n  \"a\", # b\n  \"jq\"\n]"),
        ] {
            let document = |recipes: &str| format!("# top\nschema = 1\n\n[root] # root\n{recipes}\nx = 1\n");
            let added = add_recipe(&document(before), "jq").unwrap();
            assert_eq!(added, document(after));
            assert_eq!(add_recipe(&added, "jq").unwrap(), added);
        }
    }

    #[test]
    fn removes_a_recipe() {
        for (before, name, after) in [
            ("[\"a\", \"b\", \"c\"]", "b", "[\"a\", \"c\"]"),
            ("[\"a\", \"b\"]", "a", "[\"b\"]"),
            ("[\"a\"]", "a", "[]"),
            ("[\"a\"]", "b", "[\"a\"]"),
            ("[\n  \"a\",\n  \"b\",\n]", "b", "[\n  \"a\",\n]"),
            ("[\n  \"a\",\n  \"b\",\n]", "a", "[\n  \"b\",\n]"),
        ] {
            let document = |recipes: &str| format!("[root]\nrecipes = {recipes} # why\n");
            assert_eq!(remove_recipe(&document(before), name).unwrap(), document(after));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        assert!(add_recipe("x", "jq").is_err());
        assert!(add_recipe("[root]\nrecipes = 1", "jq").is_err());
        assert!(remove_recipe("", "jq").is_err());
    }
}
