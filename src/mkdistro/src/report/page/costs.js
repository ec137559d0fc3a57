// What each recipe costs, and the kernel's modules by subject: rows with a bar each.
const Costs = (() => {
  const { el, section } = Dom;

  // `parts`: [[class, bytes], …] of a bar as long as their share of `most`.
  const bar = (parts, most) =>
    el("div", { class: "bar", "aria-hidden": "true" }, parts.filter(([, bytes]) => bytes > 0).map(([kind, bytes]) =>
      el("i", { class: kind, style: { width: `${(100 * bytes) / most}%` } })));

  const row = (name, summary, size, bars, more, open) =>
    el("details", { class: "cost" },
      el("summary", {},
        el("span", { class: "cost-name" }, el("b", {}, name), summary ? el("span", { class: "dim" }, summary) : null),
        bars, el("span", { class: "cost-size" }, size)),
      el("div", { class: "cost-more" }, more));

  const fact = (label, value) => el("div", {}, el("dt", {}, label), el("dd", {}, value));

  const recipes = (data) => {
    const weight = (amount) => (data.image ? amount.stored ?? 0 : amount.bytes);
    const list = data.recipes.filter((cost) => cost.dropped.files > 0);
    if (!list.length) return;
    const [first] = list;
    const most = weight(first.dropped);
    const where = data.image ? "The image" : "The root";
    const place = section("recipes", "What each recipe costs",
      `${where} would be ${Format.size(most)} smaller without ${first.name}`,
      "What would vanish if a recipe were dropped: its own files, the shared libraries that nothing else needs, and the recipes that only it brings along. Costs overlap: what two recipes share goes only with both.");
    const legend = [["own", "own files and modules"], ["alone", "libraries it alone needs"], ["with", "recipes that go with it"]];
    place.append(el("ul", { class: "legend" }, legend.map(([kind, text]) => el("li", {}, el("i", { class: `swatch ${kind}` }), text))));
    place.append(el("div", { class: "costs" }, list.map((cost) => {
      const [own, alone, all] = [cost.own, cost.libraries, cost.dropped].map(weight);
      return row(cost.name, cost.summary, Format.size(all),
        bar([["own", own], ["alone", alone], ["with", Math.max(0, all - own - alone)]], most),
        el("dl", { class: "facts" },
          fact("Own", `${Format.size(own)} in ${Format.many(cost.own.files, "file")}`),
          fact("Libraries for it alone", cost.library_paths.length
            ? [`${Format.size(alone)}: `, cost.library_paths.map((path) => path.split("/").at(-1)).join(", ")] : "none"),
          fact("Goes with it", cost.goes_with.join(", ") || "nothing"),
          fact("Asked for by", [cost.chosen ? ["distro.toml"] : [], cost.needed_by].flat().join(", ")),
          fact("Unpacked", Format.size(cost.dropped.bytes))));
    })));
  };

  const kernel = (data) => {
    const { subjects, modules, release } = data.kernel;
    if (!subjects.length) return;
    const weight = (amount) => (data.image ? amount.stored ?? 0 : amount.bytes);
    const most = weight(subjects[0].total);
    const place = section("kernel", `Kernel ${release}`,
      `${Format.many(modules.files, "module")} take ${Format.size(weight(modules))}, most of it for ${subjects[0].name}`,
      `The kernel itself is ${Format.size(data.kernel.bytes)}. A subject is a fragment of kernel-config/ or a recipe; a module counts for the first that asked for it.`);
    place.append(el("div", { class: "costs" }, subjects.map((subject) =>
      row(subject.name, Format.many(subject.total.files, "module"), Format.size(weight(subject.total)),
        bar([["module", weight(subject.total)]], most),
        el("ul", { class: "modules" }, subject.modules.map((module) =>
          el("li", {}, el("b", {}, module.name), ` ${Format.size(data.image ? module.stored ?? 0 : module.bytes)} `,
            el("span", { class: "dim" }, module.asked_by))))))));
  };

  return { recipes, kernel };
})();
