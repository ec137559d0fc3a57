// Numbers for people. Decimal units, as on the command line.
const Format = (() => {
  const trim = (number, digits) => number.toFixed(digits);

  const size = (bytes) => {
    const sign = bytes < 0 ? "−" : "";
    const value = Math.abs(bytes);
    if (value < 1e3) return `${sign}${value} B`;
    if (value < 1e6) return `${sign}${trim(value / 1e3, value < 1e4 ? 1 : 0)} kB`;
    if (value < 1e9) return `${sign}${trim(value / 1e6, value < 1e8 ? 1 : 0)} MB`;
    return `${sign}${trim(value / 1e9, 1)} GB`;
  };

  const change = (bytes) => (bytes > 0 ? `+${size(bytes)}` : bytes < 0 ? size(bytes) : "±0");

  const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  const many = (number, one, more) => `${count(number)} ${number === 1 ? one : more ?? `${one}s`}`;

  const percent = (part, whole) => {
    const value = whole > 0 ? (100 * part) / whole : 0;
    return value > 0 && value < 1 ? "< 1 %" : `${Math.round(value)} %`;
  };

  const time = (ms) => {
    if (ms < 10) return `${trim(ms, 1)} ms`;
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 100e3) return `${trim(ms / 1e3, ms < 10e3 ? 2 : 1)} s`;
    return `${Math.floor(ms / 60e3)} min ${Math.round((ms % 60e3) / 1e3)} s`;
  };

  return { size, change, count, many, percent, time };
})();
