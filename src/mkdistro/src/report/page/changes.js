// What is different since an older image.
const Changes = (() => {
  const { el, section, path } = Dom;
  const WORDS = { added: "Added", removed: "Removed", changed: "Changed" };

  const title = (data, change) => {
    const total = change.files.length + change.packages.length;
    if (!total) return `Nothing differs from ${change.old.name}`;
    const by = data.image ? data.image.bytes - change.old.bytes : data.unpacked - change.old_unpacked;
    return `${Format.change(by)} since ${change.old.name}: ${Format.many(change.files.length, "file")} differ`;
  };

  const badge = (change) => el("span", { class: `badge ${change}` }, WORDS[change]);

  const packages = (rows) => el("table", {},
    el("caption", {}, "Packages"),
    el("thead", {}, el("tr", {}, ["", "Package", "Before", "Now"].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows.map((row) => el("tr", {},
      el("td", {}, badge(row.change)), el("td", {}, row.name), el("td", {}, row.old_version || "–"), el("td", {}, row.new_version || "–")))));

  const render = (data) => {
    const change = data.difference;
    if (!change) return;
    const count = (name) => change.files.filter((file) => file.change === name).length;
    const place = section("changes", "Since the previous build", title(data, change),
      `${Format.many(count("added"), "file")} added, ${Format.count(count("removed"))} removed, ${Format.count(count("changed"))} changed. ${change.old.name} is ${Format.size(change.old.bytes)}, ${Format.size(change.old_unpacked)} unpacked.`);
    if (change.packages.length) place.append(el("div", { class: "scroll" }, packages(change.packages)));
    if (!change.files.length) return;
    const by = (row) => row.new_bytes - row.old_bytes;
    const columns = [
      { key: "path", text: "File", value: (row) => row.path, show: (row) => path(row.path), grow: true },
      { key: "change", text: "Change", value: (row) => row.change, show: (row) => badge(row.change) },
      { key: "before", text: "Before", number: true, wide: true, value: (row) => row.old_bytes, show: (row) => Format.size(row.old_bytes) },
      { key: "now", text: "Now", number: true, wide: true, value: (row) => row.new_bytes, show: (row) => Format.size(row.new_bytes) },
      { key: "by", text: "By", number: true, value: (row) => Math.abs(by(row)), show: (row) => Format.change(by(row)) },
    ];
    const known = new Map(data.files.map((file) => [file.path, file]));
    const grid = Grid.make("Files that differ", columns, [...change.files], (row) => known.has(row.path) && Details.file(known.get(row.path)));
    place.append(grid.element);
    grid.sortBy("by", true);
  };

  return { render };
})();
