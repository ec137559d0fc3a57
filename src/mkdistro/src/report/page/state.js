// What is being looked at, kept in the address, so that a view can be linked to: #tab=files&q=podman.
const State = (() => {
  const DEFAULTS = { theme: "", by: "package", size: "stored", zoom: "", tab: "packages", q: "", sort: "" };
  const listeners = [];
  let values = { ...DEFAULTS };

  const read = () => {
    const hash = location.hash.slice(1);
    if (hash !== "" && !hash.includes("=")) return;
    const found = new URLSearchParams(hash);
    values = { ...DEFAULTS };
    for (const name of Object.keys(DEFAULTS)) if (found.has(name)) values[name] = found.get(name);
  };

  const write = () => {
    const changed = Object.entries(values).filter(([name, value]) => value !== DEFAULTS[name]);
    const hash = new URLSearchParams(changed).toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };

  const set = (changes) => {
    Object.assign(values, changes);
    write();
  };

  read();
  addEventListener("hashchange", () => {
    read();
    for (const listener of listeners) listener();
  });
  return { get: (name) => values[name], set, onchange: (listener) => listeners.push(listener) };
})();
