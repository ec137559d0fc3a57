// Packages and files: tables with search.
const Contents = (() => {
  const { el, section, choice, path } = Dom;
  let parts = null;

  const size = (key, text, value, wide) => ({ key, text, number: true, wide, value, show: (row) => Format.size(value(row)) });

  const packageColumns = (data) => [
    { key: "name", text: "Package", value: (row) => row.name, grow: true },
    { key: "version", text: "Version", value: (row) => row.version, wide: true },
    { key: "source", text: "Source", value: (row) => row.source.split(" ")[0], wide: true },
    data.packages.some((row) => row.licence) ? { key: "licence", text: "Licence", value: (row) => row.licence, wide: true } : null,
    { key: "files", text: "Files", value: (row) => row.total.files, number: true, wide: true },
    size("bytes", "Unpacked", (row) => row.total.bytes, Boolean(data.image)),
    data.image ? size("stored", "In image", (row) => row.total.stored ?? 0) : null,
  ].filter(Boolean);

  const fileColumns = (data) => [
    { key: "path", text: "Path", value: (row) => row.path, show: (row) => path(row.path), grow: true },
    { key: "package", text: "From", value: (row) => row.package, wide: true },
    { key: "why", text: "Why", value: Reason.of, wide: true, grow: true },
    size("bytes", "Unpacked", (row) => row.bytes, Boolean(data.image)),
    data.image ? size("stored", "In image", (row) => row.stored ?? 0) : null,
  ].filter(Boolean);

  // What a search looks through, per row, once.
  const texts = (rows, text) => new Map(rows.map((row) => [row, text(row).toLowerCase()]));

  // All words must be there; from:NAME is the package.
  const filter = (tab) => {
    const words = State.get("q").toLowerCase().split(/\s+/).filter(Boolean);
    const from = words.filter((word) => word.startsWith("from:")).map((word) => word.slice(5));
    const plain = words.filter((word) => !word.startsWith("from:"));
    tab.grid.filter((row) => plain.every((word) => tab.texts.get(row).includes(word))
      && from.every((name) => (row.package ?? row.name).toLowerCase() === name));
    parts.count.textContent = `${Format.count(tab.grid.count())} of ${Format.count(tab.rows.length)}`;
  };

  const show = () => {
    const name = parts.real && State.get("tab") !== "files" ? "packages" : "files";
    const tab = parts.tabs[name];
    parts.input.value = State.get("q");
    for (const input of parts.choice.querySelectorAll("input")) input.checked = input.value === name;
    parts.holder.replaceChildren(tab.grid.element);
    filter(tab);
  };

  const search = (tab, q) => {
    State.set({ tab, q });
    show();
    parts.input.focus();
  };

  const tab = (caption, columns, rows, text, open) => {
    const grid = Grid.make(caption, columns, rows, open);
    const by = columns.at(-1).key;
    grid.sortBy(by, true);
    return { grid, rows, texts: texts(rows, text) };
  };

  const render = (data) => {
    const real = data.packages.filter((row) => row.version !== "").length;
    const place = section("contents", "Packages and files",
      real ? `${Format.many(real, "package")} and ${Format.many(data.files.length, "file")}, each with its reason`
        : `${Format.many(data.files.length, "file")}`,
      "Search by any word of name, version, path, reason, sha256 or link target; from:podman keeps one package's files.");
    const tabs = {
      packages: tab("Packages", packageColumns(data), data.packages,
        (row) => [row.name, row.version, row.source, row.suite, row.licence, row.sha256].join(" "), Details.package),
      files: tab("Files", fileColumns(data), data.files,
        (row) => [row.path, row.package, row.kind, Reason.of(row), row.recipe ?? "", row.sha256, row.target ?? ""].join(" "), Details.file),
    };
    const input = el("input", { type: "search", id: "search", placeholder: "Search", "aria-label": "Search packages and files", autocomplete: "off", spellcheck: "false",
      oninput: () => { State.set({ q: input.value }); show(); } });
    const count = el("output", { class: "dim", for: "search" });
    const holder = el("div", {});
    const pick = choice("Show", "tab", [["packages", "Packages"], ["files", "Files"]], State.get("tab"), (value) => { State.set({ tab: value }); show(); });
    parts = { real, tabs, input, count, holder, choice: pick };
    place.append(el("div", { class: "tools" }, real ? pick : "", input, count), holder);
    show();
    State.onchange(show);
  };

  return { render, search, shown: () => parts?.holder.querySelectorAll("tbody tr:not(.spacer):not(.none)").length ?? 0, count: () => parts?.count.textContent ?? "" };
})();
