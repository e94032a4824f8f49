"use strict";
// Charts: what the page's controls choose of its numbers, drawn by plotly.js. Both are in the page, as gzip in base64.

const dark = matchMedia("(prefers-color-scheme: dark)");
const touched = matchMedia("(pointer: coarse)");
const ROUNDING = 1e-9, WIDE = 300, LONGEST = 3;
let printing = false, data, chosen;

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

// -- the page's own elements -------------------------------------------------------------------------------

function element(kind, properties = {}, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

function choice(root, label, options, redraw) {
  const select = element("select", {}, ...options.map(([value, text]) => element("option", { value, textContent: text })));
  select.addEventListener("change", redraw);
  root.querySelector(".controls").append(element("label", {}, label, select));
  select.parentElement.hidden = options.length < 2;
  return select;
}

function tick(root, label, checked, redraw) {
  const box = element("input", { type: "checkbox", checked });
  box.addEventListener("change", redraw);
  root.querySelector(".controls").append(element("label", { className: "check" }, box, label));
  return box;
}

const SHAPES = {
  circle: "M17 6m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", square: "M13 2h8v8h-8z", diamond: "M17 1l5 5-5 5-5-5z",
  "triangle-down": "M12 2h10l-5 9z", "triangle-up": "M12 10h10L17 1z",
};
const STROKES = { solid: "none", dash: "7 3", dot: "2 2" };

function key(name) {
  const look = data.methods[name], svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 34 12");
  svg.setAttribute("aria-hidden", "true");
  Object.assign(svg.style, { width: "34px", height: "12px", marginRight: ".4rem" });
  const line = document.createElementNS(svg.namespaceURI, "path");
  line.setAttribute("d", "M0 6H34");
  line.setAttribute("stroke", lineColour(name));
  line.setAttribute("stroke-width", "2");
  line.setAttribute("stroke-dasharray", STROKES[look.dash] || look.dash.replaceAll("px", ""));
  const symbol = document.createElementNS(svg.namespaceURI, "path");
  symbol.setAttribute("d", SHAPES[look.symbol]);
  symbol.setAttribute("fill", colour(name));
  svg.append(line, symbol);
  return svg;
}

function chooseMethods(redraw) {
  const box = document.getElementById("methods"), legend = box.querySelector("legend");
  const boxes = Object.keys(data.methods).map((name) => {
    const input = element("input", { type: "checkbox", checked: true, value: name });
    input.addEventListener("change", () => { chosen[input.checked ? "add" : "delete"](name); redraw(); });
    return input;
  });
  const all = (checked) => () => {
    boxes.forEach((input) => { input.checked = checked; chosen[checked ? "add" : "delete"](input.value); });
    redraw();
  };
  const buttons = [["All", true], ["None", false]].map(([textContent, checked]) => {
    const button = element("button", { type: "button", textContent });
    button.addEventListener("click", all(checked));
    return button;
  });
  const fill = () => box.replaceChildren(
    legend, ...boxes.map((input) => element("label", {}, input, key(input.value), input.value)), ...buttons);
  fill();
  dark.addEventListener("change", fill);
  box.hidden = false;
}

function tell(root, heading, lines) {
  const details = root.querySelector(".shown-numbers");
  details.hidden = false;
  if (!details.open) return;
  const row = (cells) => element("tr", {}, ...cells.map((text, i) => i ? element("td", { textContent: text })
    : element("th", { scope: "row", textContent: text })));
  const head = element("tr", {}, ...heading.map((text) => element("th", { scope: "col", textContent: text })));
  const table = element("table", { className: "numbers" }, element("caption", {}, element("span", { textContent: root.querySelector("h3").textContent })),
    element("thead", {}, head), element("tbody", {}, ...lines.map(row)));
  makeSortable(table);
  const scroll = element("div", { className: "scroll", tabIndex: 0 }, table);
  details.querySelector("div").replaceChildren(scroll);
}

// -- how things look ---------------------------------------------------------------------------------------

const isDark = () => dark.matches && !printing;
const colour = (name) => data.methods[name][isDark() ? "dark" : "light"];
const lineColour = (name) => data.methods[name].line[isDark() ? 1 : 0];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // plotly reads tags in its texts
const figure = (number) => number === null ? "-" : String(Number(number.toPrecision(4)));
const several = () => data.runs.length > 1;
const named = (method, run) => several() ? `${method}, ${run}` : method;
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross"];

function axis(title, more = {}) {
  return {
    title: { text: plain(title), standoff: 8 }, gridcolor: css("--grid"), zerolinecolor: css("--line"), linecolor: css("--line"),
    automargin: true, ...more,
  };
}

function draw(root, traces, layout, description) {
  const plot = root.querySelector(".plot");
  const settled = {
    showlegend: false, margin: { l: 8, r: 14, t: 10, b: 8 }, hovermode: "closest", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: css("--ink") }, dragmode: touched.matches ? false : "zoom",
    hoverlabel: { bgcolor: css("--panel"), bordercolor: css("--line"), font: { color: css("--ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--faint"), activecolor: css("--accent") },
    ...layout, ...(printing ? { width: Math.min(plot.classList.contains("square") ? 420 : 900, layout.width || 900) } : {}),
  };
  plot.setAttribute("aria-label", description);
  root.hidden = false;
  const buttons = { displaylogo: false, displayModeBar: touched.matches ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
  Plotly.react(plot, traces, settled, { responsive: true, ...buttons });
  root.dataset.drawn = Number(root.dataset.drawn || 0) + 1;
}

// -- the charts: each returns what draws it ----------------------------------------------------------------

function keyChoices(root, redraw) {
  return data.keys.map(([name, values]) => choice(root, name, values.map((value) => [value, value]), redraw));
}

const at = (cell, fixed, but = -1) => cell.every((value, i) => i === but || !fixed[i] || value === "" || value === fixed[i].value);

function metrics(root) {
  if (!data.metrics.length) return () => {};
  const redraw = () => show();
  const metric = choice(root, "Metric", data.metrics.map(({ title }, i) => [i, title]), () => { log.checked = isWide(); show(); });
  const along = choice(root, "Along", data.keys.map(([name], i) => [i, name]), redraw);
  const fixed = keyChoices(root, redraw);
  const log = tick(root, "Logarithmic", false, redraw);
  const points = () => data.metrics[metric.value].points.filter(([, method, cell, mean]) =>
    chosen.has(method) && mean !== null && at(cell, fixed, data.keys.length ? Number(along.value) : -1));
  const isWide = () => {
    const means = points().map((point) => point[3]);
    return Math.min(...means) > 0 && Math.max(...means) > WIDE * Math.min(...means);
  };

  function dots(found) {
    const order = Object.keys(data.methods), shown = [...found].sort((a, b) => order.indexOf(a[1]) - order.indexOf(b[1])); // runs of a method together
    const lines = shown.map(([run, method]) => named(method, run)).reverse();
    const traces = shown.map(([run, method, , mean, half]) => ({
      x: [mean], y: [plain(named(method, run))], error_x: { array: [half], color: colour(method) }, mode: "markers", name: plain(named(method, run)),
      marker: { color: colour(method), size: 9, symbol: several() ? SYMBOLS[data.runs.indexOf(run) % 6] : data.methods[method].symbol },
      hovertemplate: `%{x:.4g}${half === null ? "" : ` ± ${figure(half)}`}`,
    }));
    const title = data.metrics[metric.value].title;
    const y = { categoryorder: "array", categoryarray: lines.map(plain), range: [-0.7, lines.length - 0.3], ticksuffix: " " };
    draw(root, traces, { height: 90 + 24 * lines.length, xaxis: axis(title, { type: log.checked ? "log" : "linear" }), yaxis: axis("", y) },
      `${title} by method, means with 95 % intervals; the same numbers are in the table below the chart`);
  }

  function overKey(shown) {
    const [name, values] = data.keys[along.value], numbers = values.map(Number), numeric = !numbers.some(Number.isNaN);
    const x = numeric ? [...numbers].sort((a, b) => a - b) : values;
    const traces = [...new Set(shown.map(([run, method]) => JSON.stringify([run, method])))].map((text) => {
      const [run, method] = JSON.parse(text), own = shown.filter((point) => point[0] === run && point[1] === method);
      const found = x.map((value) => own.find(({ 2: cell }) => cell[along.value] === "" || (numeric ? Number(cell[along.value]) : cell[along.value]) === value));
      return {
        x: numeric ? x : x.map(plain), y: found.map((point) => point ? point[3] : null), mode: numeric ? "lines+markers" : "markers", name: plain(named(method, run)),
        error_y: { array: found.map((point) => point ? point[4] : null), color: colour(method), thickness: 1 },
        line: { color: lineColour(method), dash: several() ? DASHES[data.runs.indexOf(run) % 6] : data.methods[method].dash },
        marker: { color: colour(method), symbol: data.methods[method].symbol, size: 7 }, hovertemplate: "%{x}: %{y:.4g}",
      };
    });
    const title = data.metrics[metric.value].title;
    const positive = numeric && x[0] > 0 && x.at(-1) > 20 * x[0];
    const horizontal = numeric ? { type: positive ? "log" : "linear", tickvals: x } : { type: "category" };
    draw(root, traces, { height: 420, scattermode: numeric ? "overlay" : "group", scattergap: 0.4, xaxis: axis(name, horizontal), yaxis: axis(title, { type: log.checked ? "log" : "linear" }) },
      `${title} over ${name} by method; the same numbers are in the table below the chart`);
  }

  function show() {
    const shown = points();
    fixed.forEach((select, i) => { select.parentElement.hidden = i === Number(along.value) || select.options.length < 2; });
    (data.keys.length ? overKey : dots)(shown);
    tell(root, ["method", ...(several() ? ["run"] : []), ...data.keys.map(([name]) => name), data.metrics[metric.value].title, "± 95 %"],
      shown.map(([run, method, cell, mean, half]) => [method, ...(several() ? [run] : []), ...cell.map((v) => v || "-"), figure(mean), figure(half)]));
  }

  root.querySelector("details").addEventListener("toggle", redraw);
  log.checked = isWide();
  return show;
}

function curves(root) {
  if (!data.curves.length) return () => {};
  const redraw = () => show();
  const curve = choice(root, "Curve", data.curves.map(({ title }, i) => [i, title]), redraw);
  const fixed = keyChoices(root, redraw);

  function show() {
    const { title, metric, over, lines } = data.curves[curve.value];
    const shown = lines.filter(([, method, cell, , means]) =>
      chosen.has(method) && at(cell, fixed) && means.some((mean) => Math.abs(mean) > ROUNDING));
    const log = shown.length > 0 && shown.every(({ 4: means }) => means.every((mean) => mean === null || mean > 0));
    const traces = shown.flatMap(([run, method, , x, means, halves]) => {
      const up = means.map((mean, i) => mean + halves[i]);
      const down = means.map((mean, i) => log ? Math.max(mean - halves[i], mean / 10) : mean - halves[i]);
      const shade = lineColour(method), dash = several() ? DASHES[data.runs.indexOf(run) % 6] : data.methods[method].dash;
      return [
        { x: [...x, ...[...x].reverse()], y: [...up, ...down.reverse()], fill: "toself", fillcolor: shade, opacity: 0.1, mode: "none", hoverinfo: "skip" },
        { x, y: means, name: plain(named(method, run)), mode: "lines+markers", line: { color: shade, dash },
          marker: { color: shade, size: 5, symbol: data.methods[method].symbol }, hovertemplate: "%{x:.3g}: %{y:.4g}" },
      ];
    });
    const kind = over === "noise level t" ? "linear" : "log", decades = { exponentformat: "power", dtick: 1 };
    const few = over.startsWith("evaluations") ? { tickvals: [...new Set(shown.flatMap(({ 3: x }) => x))] } : {};
    draw(root, traces, { height: 440, xaxis: axis(over, { type: kind, ...(kind === "log" ? decades : {}), ...few }),
      yaxis: axis(metric, { type: log ? "log" : "linear", ...(log ? decades : {}) }) },
    `${title} by method; the same numbers are in the table below the chart`);
    const told = several() ? data.runs.map((run, i) => `${run} ${["solid", "dashed", "dotted", "dash-dotted", "long-dashed", "long-dash-dotted"][i % 6]}`) : [];
    root.querySelector(".told").textContent = told.join(", ");
    tell(root, ["method", ...(several() ? ["run"] : []), over, metric, "± 95 %"], shown.flatMap(([run, method, , x, means, halves]) =>
      x.map((place, i) => [method, ...(several() ? [run] : []), figure(place), figure(means[i]), figure(halves[i])])));
  }

  root.querySelector("details").addEventListener("toggle", redraw);
  return show;
}

const square = (reach, title = "") => {
  const both = { range: [-reach, reach], zeroline: false };
  return { height: 520, xaxis: axis(title, { ...both, constrain: "domain" }), yaxis: axis("", { ...both, scaleanchor: "x", constrain: "domain" }) };
};

function offer(select, names) {
  const kept = select.value;
  select.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
  select.value = names.includes(kept) ? kept : names[0] ?? "";
  select.parentElement.hidden = false;
}

function clouds(root) {
  if (!data.clouds.length) return () => {};
  root.querySelector(".plot").classList.add("square");
  const source = choice(root, "Of", data.clouds.map(({ title }, i) => [i, title]), () => show());
  const method = choice(root, "Method", [], () => show());

  function density({ axis: places, z, scale }) {
    if (!Array.isArray(z[0])) return { x: places, y: z.map((v) => v * scale), mode: "lines", line: { color: css("--ink"), width: 1 }, hoverinfo: "skip" };
    return {
      type: "contour", x: places, y: places, z: z.map((line) => line.map((v) => Math.log10(Math.max(v, 1e-12)))), showscale: false, hoverinfo: "skip",
      contours: { coloring: "none", start: -2, end: -0.3, size: 0.85 }, line: { color: css("--contour"), width: 1 },
    };
  }

  function show() {
    const cloud = data.clouds[source.value];
    offer(method, Object.keys(cloud.methods));
    const name = method.value, [x, y] = cloud.methods[name], outside = x.filter((_, i) => [x, y].some((c) => c && !(Math.abs(c[i]) <= cloud.reach))).length;
    const marker = { color: colour(name), size: 5, opacity: 0.55, symbol: data.methods[name].symbol };
    const points = y ? { x, y, mode: "markers", marker, name: plain(name), hovertemplate: "(%{x:.3g}, %{y:.3g})" }
      : { type: "histogram", x, histnorm: "probability density", marker: { color: colour(name), opacity: 0.6 }, name: plain(name),
        xbins: { start: -cloud.reach, end: cloud.reach, size: cloud.reach / 40 } };
    const layout = y ? square(cloud.reach) : { height: 400, xaxis: axis("x", { range: [-cloud.reach, cloud.reach] }), yaxis: axis("density") };
    draw(root, [...(cloud.density ? [density(cloud.density)] : []), points], layout, `Samples of ${name} over the clean law's density`);
    const far = outside ? `, ${outside} of them outside the frame` : "";
    root.querySelector(".told").textContent = `${name}: ${x.length} of ${cloud.of} samples shown${far}.`;
  }

  return show;
}

function arrows(field, level, name, reach) {
  const [ux, uy] = field.u, [sx, sy] = field.scores[name].map((c) => c[level]), x = [], y = [];
  const unit = 0.9 * (2 * reach / Math.sqrt(ux.length)) / LONGEST;
  ux.forEach((from, i) => {
    const length = Math.hypot(sx[i], sy[i]), cut = unit * Math.min(1, LONGEST / Math.max(length, 1e-12));
    const dx = cut * sx[i], dy = cut * sy[i], tx = from + dx, ty = uy[i] + dy;
    x.push(from, tx, tx - 0.3 * dx - 0.15 * dy, null, tx, tx - 0.3 * dx + 0.15 * dy, null);
    y.push(uy[i], ty, ty - 0.3 * dy + 0.15 * dx, null, ty, ty - 0.3 * dy - 0.15 * dx, null);
  });
  return { x, y, mode: "lines", line: { color: css("--arrow"), width: 1 }, hoverinfo: "skip" };
}

function walks(root) {
  if (!data.walks.length) return () => {};
  root.querySelector(".plot").classList.add("square");
  const source = choice(root, "Of", data.walks.map(({ title }, i) => [i, title]), () => show());
  const method = choice(root, "Method", [], () => show());
  const withField = tick(root, "Score field", true, () => show());
  const slider = element("input", { type: "range", min: 0, step: 1, value: 0, id: "level" });
  slider.addEventListener("input", () => show());
  const output = element("output", { htmlFor: "level" });
  root.querySelector(".controls").append(element("label", { className: "wide", htmlFor: "level" }, element("span", {}, "Noise level, from noise to data: ", output), slider));
  const nearest = (places, t) => places.reduce((best, place, i) => Math.abs(place - t) < Math.abs(places[best] - t) ? i : best, 0);

  function states(walk, name, now) {
    const [xs, ys] = walk.paths[name], shade = colour(name), trail = { x: [], y: [] };
    const horizontal = (k, i) => ys ? xs[k][i] : walk.t[k], vertical = (k, i) => (ys || xs)[k][i];
    xs[0].forEach((_, i) => {
      for (let k = 0; k <= now; k += 1) { trail.x.push(horizontal(k, i)); trail.y.push(vertical(k, i)); }
      trail.x.push(null); trail.y.push(null);
    });
    return [
      { ...trail, mode: "lines", line: { color: shade, width: 1 }, opacity: 0.4, hoverinfo: "skip" },
      { x: xs[now].map((_, i) => horizontal(now, i)), y: (ys || xs)[now], mode: "markers", name: plain(name),
        marker: { color: shade, size: 8, symbol: data.methods[name].symbol }, hovertemplate: "(%{x:.3g}, %{y:.3g})" },
    ];
  }

  function show() {
    const walk = data.walks[source.value], field = walk.field;
    offer(method, Object.keys(walk.paths));
    slider.max = walk.t.length - 1;
    const now = Number(slider.value), name = method.value, t = walk.t[now], there = walk.dim === 2 && field && field.scores[name];
    withField.parentElement.hidden = !there;
    const reach = there ? Math.max(...field.u[0]) : Math.max(...Object.entries(walk.paths).filter(([n]) => n.startsWith("exact-") || n === name)
      .flatMap(([, p]) => p.flat(2)).map(Math.abs).filter(Number.isFinite));
    const level = there ? nearest(field.t, t) : 0;
    const traces = [...(there && withField.checked ? [arrows(field, level, name, reach)] : []), ...states(walk, name, now)];
    const scaled = "x_t / √(α² + σ²)";
    const layout = walk.dim === 2 ? square(1.08 * reach, scaled)
      : { height: 420, xaxis: axis("t", { range: [walk.t[0], -0.02] }), yaxis: axis(scaled, { range: [-1.05 * reach, 1.05 * reach] }) };
    const text = t === 0 ? "t = 0, data" : `t = ${figure(t)}${walk.ratio[now] === null ? "" : `, σ/α = ${figure(walk.ratio[now])}`}`;
    output.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    draw(root, traces, layout, `${walk.paths[name][0][0].length} states on paths of ${name} at ${text}`);
    const arrowsAt = there && withField.checked ? ` Arrows: the score at t = ${figure(field.t[level])}, cut at ${LONGEST}.` : "";
    root.querySelector(".told").textContent = `${name} at ${text}: state ${now + 1} of ${walk.t.length} shown, of ${walk.of} stored.${arrowsAt}`;
  }

  return show;
}

// -- all of it ---------------------------------------------------------------------------------------------

async function start() {
  const [library, numbers] = await Promise.all([unpacked("library"), unpacked("numbers")]);
  data = JSON.parse(numbers);
  chosen = new Set(Object.keys(data.methods));
  document.head.append(element("script", { textContent: library })); // allowed by its hash
  const shows = [metrics, curves, clouds, walks].map((chart) => chart(document.getElementById(chart.name)));
  const all = () => shows.forEach((show) => show());
  chooseMethods(all);
  all();
  dark.addEventListener("change", all);
  addEventListener("beforeprint", () => { printing = true; all(); });
  addEventListener("afterprint", () => { printing = false; all(); });
  document.getElementById("charts-state").hidden = true;
}

if (document.getElementById("charts")) {
  start().catch((error) => {
    document.getElementById("charts-state").textContent = `The charts cannot be drawn by this browser (${error}); tables and figures are below.`;
    throw error;
  });
}
