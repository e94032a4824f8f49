"use strict";
// Tables: a button in each heading sorts the lines by its column, numbers by their value, dashes last either way.

const collator = new Intl.Collator(undefined, { numeric: true });

function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace("−", "-"));
  return { text, number, missing: text === "-" || text === "nan" };
}

function compare(a, b, direction) {
  if (a.missing !== b.missing) return a.missing ? 1 : -1;
  const both = !Number.isNaN(a.number) && !Number.isNaN(b.number);
  return direction * (both ? a.number - b.number : collator.compare(a.text, b.text));
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const ascending = headings[column].getAttribute("aria-sort") !== "ascending";
  headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  headings[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
  keyed.sort(([a], [b]) => compare(a, b, ascending ? 1 : -1));
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function makeSortable(table) {
  if (table.tBodies[0].rows.length < 2) return;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sortBy(table, column));
    heading.replaceChildren(button);
  });
}

document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open]):not(.shown-numbers)")];
  closed.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }));
