// Timelines of a build and of a boot: one row for each event, in groups by lane.
const Timeline = (() => {
  const { el, section } = Dom;
  const SHOWN = 80;

  const length = (event) => event.end_ms - event.start_ms;

  // A round distance between marks, so that there are four to eight.
  const step = (span) => {
    const power = 10 ** Math.floor(Math.log10(span / 4));
    return [1, 2, 5, 10].map((factor) => factor * power).filter((value) => span / value <= 8)[0];
  };

  const axis = (from, span) => {
    const marks = [];
    for (let at = 0; at <= span * 0.97; at += step(span)) marks.push(at);
    return el("div", { class: "axis", "aria-hidden": "true" }, marks.map((at) =>
      el("span", { style: { left: `${(100 * at) / span}%` } }, Format.time(from + at).replace(/^0\.0\sms$/, "0").replace(/\.0+(\ss)$/, "$1"))));
  };

  const row = (event, from, span, lane) => {
    const left = (100 * (event.start_ms - from)) / span;
    const width = (100 * length(event)) / span;
    const late = left + width > 80;
    const label = el("span", { class: late ? "before" : "after", style: late ? { right: `${100 - left}%` } : { left: `${left + width}%` } }, Format.time(length(event)));
    const line = el("div", { class: "event", tabindex: "0", "aria-label": `${event.name}: from ${Format.time(event.start_ms)}, takes ${Format.time(length(event))}` },
      el("span", { class: "event-name" }, event.name),
      el("div", { class: "track" }, el("i", { class: `lane${lane % 5}`, style: { left: `${left}%`, width: `${width}%` } }), label));
    return Tip.on(line, () => [event.name, `${event.lane}: ${Format.time(event.start_ms)} to ${Format.time(event.end_ms)}, takes ${Format.time(length(event))}`]);
  };

  const chart = (events, from, span, all) => {
    const lanes = new Map();
    for (const event of all) if (!lanes.has(event.lane)) lanes.set(event.lane, []);
    for (const event of events) lanes.get(event.lane).push(event);
    const groups = [...lanes].filter(([, list]) => list.length);
    return el("div", { class: "gantt" }, axis(from, span), groups.map(([lane, list], at) =>
      el("div", { class: "lane" }, el("h3", {}, lane),
        list.sort((a, b) => a.start_ms - b.start_ms).map((event) => row(event, from, span, at)))));
  };

  const render = (name, label, timeline, title, lead) => {
    if (!timeline?.events.length) return;
    const all = timeline.events;
    const from = Math.min(0, ...all.map((event) => event.start_ms));
    const to = Math.max(...all.map((event) => event.end_ms));
    const span = Math.max(to - from, 0.001);
    const byLength = [...all].sort((a, b) => length(b) - length(a));
    // One that has others in it says less than those.
    const leaf = byLength.find((one) => !all.some((other) => other !== one && other.lane === one.lane
      && other.start_ms >= one.start_ms && other.end_ms <= one.end_ms && length(other) > 0)) ?? byLength[0];
    const place = section(name, label, title(Format.time(span), leaf), lead);
    const shown = all.length > SHOWN ? byLength.slice(0, SHOWN) : all;
    const drawing = chart([...shown], from, span, all);
    place.append(drawing);
    const figures = Object.entries(timeline.figures ?? {}).map(([key, value]) => `${key.replaceAll("-", " ")}: ${Format.count(value)}`);
    if (figures.length) place.append(el("p", { class: "figures-line dim" }, figures.join(" · ")));
    if (shown.length < all.length) {
      const button = el("button", { type: "button", class: "quiet", onclick: () => {
        place.querySelector(".gantt").replaceWith(chart([...all], from, span, all));
        button.remove();
      } }, `Show all ${Format.count(all.length)} steps`);
      place.append(button);
    }
  };

  const build = (data) => render("build", "Where the build's time went", data.build,
    (span, first) => `Built in ${span}; the longest step is ${first.name}, ${Format.time(length(first))}`);
  const boot = (data) => render("boot", "Where the boot's time went", data.boot,
    (span, first) => `Up in ${span}; the longest step is ${first.name}, ${Format.time(length(first))}`,
    "From the kernel's start. Services that wait for others start when those are ready.");

  return { build, boot };
})();
