/** Tables whose rows a reader may sort: a button in the heading of each column. */
export function start() {
  for (const table of document.querySelectorAll('table.sortable')) startTable(table);
}

function startTable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => {
      const falling = heading.getAttribute('aria-sort') === 'ascending';
      for (const other of headings) other.removeAttribute('aria-sort');
      heading.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
      const rows = [...body.rows].sort((a, b) => compare(a, b, column) * (falling ? -1 : 1));
      body.append(...rows);
    });
  });
}

function compare(one, other, column) {
  const [a, b] = [one, other].map(row => row.cells[column].textContent.trim());
  const [first, second] = [a, b].map(number);
  if (Number.isNaN(first) || Number.isNaN(second)) {
    if (Number.isNaN(first) !== Number.isNaN(second)) return Number.isNaN(first) ? 1 : -1;
    return a.localeCompare(b, 'en', { numeric: true });
  }
  return first - second;
}

/** The number at the start of a cell such as '1,234', '98.40 % best' or '−0.3'; NaN if there is none. */
export function number(text) {
  const [found] = text.match(/^[−-]?[\d,]*\.?\d+(e[+-]?\d+)?(?=\s|$)/i) ?? [''];
  return found === '' ? Number.NaN : Number(found.replaceAll(',', '').replace('−', '-'));
}
