//! What each recipe costs: what would vanish from the root if it were dropped.
//!
//! A file stays as long as something that stays asks for it. What recipes, fragments, the builder and the overlay name
//! stands for itself; a shared library stands as long as any file that loads it, over any number of libraries. A file
//! that two recipes name counts for the first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::data::{Amount, Because, FileRow, RecipeCost};
use crate::config::Recipe;

/// What each file loads directly, by absolute path.
pub(super) type Loads = HashMap<String, Vec<String>>;

/// Who asks for what.
pub(super) struct Graph<'a> {
    files: &'a [FileRow],
    /// Per file: the files that it loads.
    loads: Vec<Vec<usize>>,
    /// Per file: the recipe that asks for it itself.
    owner: Vec<Option<&'a str>>,
    /// Files that recipes name as opened at run time.
    named: Vec<(&'a str, usize)>,
    recipes: &'a BTreeMap<String, Recipe>,
    /// Recipes that distro.toml names.
    chosen: &'a [String],
}

impl<'a> Graph<'a> {
    /// `modules`: recipe of a kernel module that a recipe brought in, by path. `named`: recipe and path of libraries that
    /// recipes name themselves.
    pub(super) fn new(
        files: &'a [FileRow],
        loads: &Loads,
        modules: &HashMap<String, &'a str>,
        named: &[(&'a str, String)],
        recipes: &'a BTreeMap<String, Recipe>,
        chosen: &'a [String],
    ) -> Self {
        let index: HashMap<&str, usize> = files.iter().enumerate().map(|(at, file)| (file.path.as_str(), at)).collect();
        let find = |path: &String| index.get(path.as_str()).copied();
        let owner = |file: &'a FileRow| match file.because {
            Because::Recipe => Some(file.by.as_str()),
            Because::Module => modules.get(&file.path).copied(),
            _ => None,
        };
        Self {
            files,
            loads: files
                .iter()
                .map(|file| loads.get(&file.path).into_iter().flatten().filter_map(find).collect())
                .collect(),
            owner: files.iter().map(owner).collect(),
            named: named.iter().filter_map(|(recipe, path)| Some((*recipe, find(path)?))).collect(),
            recipes,
            chosen,
        }
    }

    /// All recipes' costs, the dearest first.
    pub(super) fn costs(&self) -> Vec<RecipeCost> {
        let mut costs: Vec<RecipeCost> =
            self.recipes.iter().map(|(name, recipe)| self.cost(name, &recipe.summary)).collect();
        costs.sort_by(|a, b| b.dropped.weight().cmp(&a.dropped.weight()).then_with(|| a.name.cmp(&b.name)));
        costs
    }

    fn cost(&self, name: &str, summary: &str) -> RecipeCost {
        let alone = self.vanishing(&BTreeSet::from([name]));
        let (mut own, mut libraries, mut library_paths) = (Amount::default(), Amount::default(), Vec::new());
        for at in alone {
            if self.owner[at].is_some() {
                own.add(&self.files[at]);
            } else {
                libraries.add(&self.files[at]);
                library_paths.push(self.files[at].path.clone());
            }
        }
        let gone = self.gone_without(name);
        let mut dropped = Amount::default();
        for at in self.vanishing(&gone) {
            dropped.add(&self.files[at]);
        }
        let needs_it = |(_, recipe): &(&String, &Recipe)| recipe.needs.iter().any(|need| need == name);
        RecipeCost {
            name: name.to_owned(),
            summary: summary.to_owned(),
            chosen: self.chosen.iter().any(|chosen| chosen == name),
            needed_by: self.recipes.iter().filter(needs_it).map(|(other, _)| other.clone()).collect(),
            own,
            libraries,
            library_paths,
            goes_with: gone.into_iter().filter(|other| *other != name).map(str::to_owned).collect(),
            dropped,
        }
    }

    /// The recipe and those that only it leads to.
    fn gone_without(&self, name: &str) -> BTreeSet<&str> {
        let mut kept = BTreeSet::new();
        let mut todo: Vec<&str> = self.chosen.iter().map(String::as_str).collect();
        while let Some(next) = todo.pop() {
            if next != name && kept.insert(next) {
                todo.extend(self.recipes.get(next).into_iter().flat_map(|recipe| &recipe.needs).map(String::as_str));
            }
        }
        self.recipes.keys().map(String::as_str).filter(|other| !kept.contains(other)).collect()
    }

    /// The files that nothing asks for any more without some recipes.
    fn vanishing(&self, gone: &BTreeSet<&str>) -> Vec<usize> {
        let mut kept = vec![false; self.files.len()];
        let mut todo: Vec<usize> = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            if file.because != Because::Library && self.owner[at].is_none_or(|owner| !gone.contains(owner)) {
                todo.push(at);
            }
        }
        todo.extend(self.named.iter().filter(|(recipe, _)| !gone.contains(recipe)).map(|(_, at)| *at));
        while let Some(at) = todo.pop() {
            if !std::mem::replace(&mut kept[at], true) {
                todo.extend(&self.loads[at]);
            }
        }
        (0..self.files.len()).filter(|at| !kept[*at]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::data::FileKind;

    fn file(path: &str, bytes: u64, because: Because, by: &str) -> FileRow {
        FileRow {
            path: path.into(),
            kind: FileKind::Data,
            bytes,
            stored: Some(bytes / 2),
            package: "p".into(),
            recipe: None,
            because,
            by: by.into(),
            sha256: String::new(),
            target: None,
        }
    }

    fn recipe(needs: &[&str]) -> Recipe {
        Recipe { needs: needs.iter().map(|name| (*name).to_string()).collect(), ..Recipe::default() }
    }

    /// engine needs runtime; both load libc and engine alone libx, which loads liby. shell stands beside them, static.
    fn costs() -> Vec<RecipeCost> {
        use Because::{Builder, Library, Module, Recipe};
        let files = [
            file("/bin/engine", 1000, Recipe, "engine"),
            file("/bin/runtime", 200, Recipe, "runtime"),
            file("/bin/shell", 40, Recipe, "shell"),
            file("/init", 8, Builder, ""),
            file("/lib/a.ko", 10_000, Module, "storage"),
            file("/lib/b.ko", 20_000, Module, "engine"),
            file("/lib/libc", 100_000, Library, "/bin/engine"),
            file("/lib/libopened", 400_000, Library, "packages/runtime.toml, libraries"),
            file("/lib/libx", 2_000_000, Library, "/bin/engine"),
            file("/lib/liby", 4_000_000, Library, "/lib/libx"),
        ];
        let loads = [
            ("/bin/engine", &["/lib/libc", "/lib/libx"][..]),
            ("/bin/runtime", &["/lib/libc"]),
            ("/lib/libx", &["/lib/liby", "/lib/libc"]),
            ("/lib/liby", &["/lib/libx", "/not/there"]),
        ];
        let loads: Loads = loads
            .iter()
            .map(|(path, needs)| ((*path).to_string(), needs.iter().map(|need| (*need).to_string()).collect()))
            .collect();
        let recipes = BTreeMap::from(
            [("engine", recipe(&["runtime"])), ("runtime", recipe(&[])), ("shell", recipe(&[]))]
                .map(|(name, recipe)| (name.to_string(), recipe)),
        );
        let modules = HashMap::from([("/lib/b.ko".to_string(), "engine")]);
        let named = [("runtime", "/lib/libopened".to_string())];
        let chosen = ["engine".to_string(), "shell".to_string()];
        Graph::new(&files, &loads, &modules, &named, &recipes, &chosen).costs()
    }

    #[test]
    fn counts_what_would_vanish() {
        let shown: Vec<(String, u64, u64, u64, String)> = costs()
            .iter()
            .map(|cost| {
                (cost.name.clone(), cost.own.bytes, cost.libraries.bytes, cost.dropped.bytes, cost.goes_with.join(" "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                // libc goes only when both have gone; libx and liby hold each other and go nevertheless.
                ("engine".into(), 21_000, 6_000_000, 6_521_200, "runtime".into()),
                ("runtime".into(), 200, 400_000, 400_200, String::new()),
                ("shell".into(), 40, 0, 40, String::new()),
            ]
        );
    }

    #[test]
    fn tells_of_libraries_and_of_who_needs_it() {
        let costs = costs();
        assert_eq!(costs[0].library_paths, ["/lib/libx", "/lib/liby"]);
        assert_eq!((costs[0].chosen, costs[1].chosen), (true, false));
        assert_eq!(costs[1].needed_by, ["engine"]);
        assert_eq!(costs[0].dropped, Amount { files: 7, bytes: 6_521_200, stored: Some(3_260_600) });
    }
}
