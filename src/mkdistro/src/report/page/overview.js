// The head of the page: key figures, and a bar of the image's parts.
const Overview = (() => {
  const { el, id, section } = Dom;

  const figure = (label, value, more) =>
    el("div", { class: "figure" }, el("dt", {}, label), el("dd", {}, el("strong", {}, value), more ? el("span", {}, more) : null));

  // A bar of parts: [[name, bytes, class], …], with a legend that has the figures.
  const bar = (parts, total) => {
    const shown = parts.filter(([, bytes]) => bytes > 0);
    const strip = el("div", { class: "strip", "aria-hidden": "true" }, shown.map(([name, bytes, kind]) =>
      Tip.on(el("i", { class: kind, style: { "flex-grow": bytes / total } }), () => [name, `${Format.size(bytes)}, ${Format.percent(bytes, total)}`])));
    const list = el("ul", { class: "legend" }, shown.map(([name, bytes, kind]) =>
      el("li", {}, el("i", { class: `swatch ${kind}` }), `${name} `,
        el("b", {}, Format.size(bytes)), el("span", { class: "dim" }, ` ${Format.percent(bytes, total)}`))));
    return el("div", { class: "parts" }, strip, list);
  };

  const partClass = (name) =>
    name.startsWith("root") ? "program" : name === "kernel" ? "module" : name.includes("initramfs") ? "library" : "boot";

  const title = (data) => {
    const image = data.image;
    if (!image) return `${Format.size(data.unpacked)} unpacked, not built yet`;
    return `${Format.size(image.bytes)}, running from ${Format.size(image.root_bytes)} of RAM`;
  };

  const render = (data) => {
    const image = data.image;
    id("brand").textContent = `${data.name} ${data.version}`.trim();
    const packages = data.packages.filter((row) => row.version !== "").length;
    const place = section("overview", `${data.name} ${data.version}`, title(data));
    if (image) {
      place.querySelector(".head").append(el("p", { class: "file" }, el("span", {}, image.name), " ",
        el("code", { title: "sha256 of the image" }, image.sha256)));
    }
    place.append(
      ...data.notes.map((note) => el("p", { class: "note" }, note)),
      el("dl", { class: "figures" },
        image ? figure("Image", Format.size(image.bytes), `${Format.percent(image.bytes, data.unpacked + data.kernel.bytes)} of what it unpacks to`) : null,
        image ? figure("RAM held by the root", Format.size(image.root_bytes), `SquashFS, ${image.compression}`) : null,
        figure("Root, unpacked", Format.size(data.unpacked), Format.many(data.files.length, "file")),
        packages ? figure("Packages", Format.count(packages), data.recipes.length ? `by ${Format.many(data.recipes.length, "recipe")}` : null) : null,
        figure("Kernel", Format.size(data.kernel.bytes), data.kernel.release),
        data.kernel.modules.files ? figure("Modules", Format.count(data.kernel.modules.files), `${Format.size(data.kernel.modules.bytes)} unpacked`) : ""),
      image ? bar(image.parts.map((part) => [part.name, part.bytes, partClass(part.name)]), image.bytes) : "",
    );
    id("foot").replaceChildren(el("p", {}, `Written by mkdistro ${data.mkdistro}. The page holds its data and asks no network for anything.`));
  };

  return { render, bar };
})();
