// Everything known about one file or package, in a dialog.
const Details = (() => {
  const { el, id } = Dom;

  const show = (title, facts) => {
    const dialog = id("details");
    const close = el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close");
    dialog.replaceChildren(
      el("h2", { id: "details-title" }, title),
      el("dl", { class: "facts" }, facts.filter(([, value]) => value !== "" && value !== null && value !== undefined).map(([label, value]) =>
        el("div", {}, el("dt", {}, label), el("dd", {}, value)))),
      el("div", { class: "tools" }, close));
    Tip.hide();
    dialog.showModal();
  };

  const sizes = (bytes, stored) => [
    ["Unpacked", `${Format.size(bytes)} (${Format.count(bytes)} bytes)`],
    ["In the image", stored === null || stored === undefined ? "" : `${Format.size(stored)} (${Format.count(stored)} bytes)`],
  ];

  const file = (row) => show(row.path, [
    ["Link to", row.target],
    ...(row.target === null ? sizes(row.bytes, row.stored) : []),
    ["From", row.package],
    ["Why", Reason.of(row)],
    ["Recipe", row.recipe],
    ["sha256", row.sha256 ? el("code", {}, row.sha256) : ""],
  ]);

  const search = (text) => el("button", { type: "button", class: "link", onclick: () => {
    id("details").close();
    Contents.search("files", text);
  } }, "show them");

  const package_ = (row) => show(row.name, [
    ["Version", row.version],
    ["Source", row.source],
    ["Suite", row.suite],
    ["Licence", row.licence],
    ["Files", [`${Format.count(row.total.files)}, `, search(`from:${row.name}`)]],
    ...sizes(row.total.bytes, row.total.stored),
    ["sha256", row.sha256 ? el("code", {}, row.sha256) : ""],
  ]);

  const start = () => {
    const dialog = id("details");
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  };

  return { start, file, package: package_ };
})();
