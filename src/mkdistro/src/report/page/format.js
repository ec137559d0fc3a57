// Numbers for people. Decimal units, as on the command line.
const Format = (() => {
  // Number and unit stay on one line.
  const GAP = "\u00a0";
  const trim = (number, digits) => number.toFixed(digits);

  const size = (bytes) => {
    const sign = bytes < 0 ? "−" : "";
    const value = Math.abs(bytes);
    if (value < 1e3) return `${sign}${value}${GAP}B`;
    if (value < 1e6) return `${sign}${trim(value / 1e3, value < 1e4 ? 1 : 0)}${GAP}kB`;
    if (value < 1e9) return `${sign}${trim(value / 1e6, value < 1e8 ? 1 : 0)}${GAP}MB`;
    return `${sign}${trim(value / 1e9, 1)}${GAP}GB`;
  };

  const change = (bytes) => (bytes > 0 ? `+${size(bytes)}` : bytes < 0 ? size(bytes) : "±0");

  const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  const many = (number, one, more) => `${count(number)} ${number === 1 ? one : more ?? `${one}s`}`;

  const percent = (part, whole) => {
    const value = whole > 0 ? (100 * part) / whole : 0;
    return value > 0 && value < 1 ? `<${GAP}1${GAP}%` : `${Math.round(value)}${GAP}%`;
  };

  const time = (ms) => {
    if (ms < 10) return `${trim(ms, 1)}${GAP}ms`;
    if (ms < 1000) return `${Math.round(ms)}${GAP}ms`;
    if (ms < 100e3) return `${trim(ms / 1e3, ms < 10e3 ? 2 : 1)}${GAP}s`;
    return `${Math.floor(ms / 60e3)}${GAP}min${GAP}${Math.round((ms % 60e3) / 1e3)}${GAP}s`;
  };

  return { size, change, count, many, percent, time };
})();
