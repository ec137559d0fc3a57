// Elements. Text is always set as text, styles by property: the page's policy allows no inline style attributes.
const Dom = (() => {
  const SVG = document.querySelector("svg").namespaceURI;

  const fill = (element, properties, children) => {
    for (const [name, value] of Object.entries(properties ?? {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  const el = (name, properties, ...children) => fill(document.createElement(name), properties, children);
  const svg = (name, properties, ...children) => fill(document.createElementNS(SVG, name), properties, children);
  const id = (name) => document.getElementById(name);

  // A section's head: what it is about, what it says, and how to read it. Shows the section.
  const section = (name, label, title, lead) => {
    const section = id(name);
    section.hidden = false;
    section.replaceChildren(
      el("header", { class: "head" },
        el(name === "overview" ? "h1" : "p", { class: "label" }, label),
        el("h2", { id: `${name}-title` }, title),
        lead ? el("p", { class: "lead" }, lead) : null),
    );
    return section;
  };

  // Buttons of which one is on. `options`: [[value, text], …].
  const choice = (label, name, options, value, onchange) =>
    el("fieldset", { class: "choice" },
      el("legend", {}, label),
      options.map(([key, text]) => {
        const input = el("input", { type: "radio", name, value: key, onchange: () => onchange(key) });
        input.checked = key === value;
        return el("label", {}, input, el("span", {}, text));
      }));

  // A path of which the end stays in sight where there is no room for all of it.
  const path = (text) => {
    const at = text.lastIndexOf("/") + 1;
    return el("span", { class: "path" }, el("span", {}, text.slice(0, at)), el("span", {}, text.slice(at)));
  };

  return { el, svg, id, section, choice, path };
})();
