(() => {
  'use strict';
  const all = (what) => Array.from(document.querySelectorAll(what));

  // Finding: rows that name what is looked for, and of the table of verdicts the columns that do.
  const find = document.getElementById('find');
  if (!find) { return; }
  const bad = document.getElementById('bad');
  const found = document.getElementById('found');
  const rows = all('[data-name]').map((element) => ({
    element, name: element.dataset.name.toLowerCase(), bad: 'bad' in element.dataset, matrix: element.closest('#matrix') !== null,
  }));
  const heads = all('#matrix thead th').slice(1).map((element, place) => ({
    name: element.textContent.toLowerCase(), cells: all(`#matrix tr > :nth-child(${place + 2})`),
  }));
  const kept = 'windtunnel ' + location.pathname;
  const show = () => {
    const word = find.value.trim().toLowerCase();
    const columns = heads.map((head) => word !== '' && head.name.includes(word));
    const byColumn = columns.includes(true);
    let scenarios = 0;
    let shown = 0;
    for (const row of rows) {
      const asked = row.matrix && byColumn && columns.some((is, place) => is && row.element.cells[place + 1].className !== '');
      const visible = (row.name.includes(word) || asked) && (!bad.checked || row.bad);
      row.element.hidden = !visible;
      scenarios += row.matrix;
      shown += row.matrix && visible;
    }
    const named = rows.some((row) => row.matrix && !row.element.hidden && row.name.includes(word));
    heads.forEach((head, place) => {
      // A word that names invariants and no scenario leaves those columns only.
      let visible = !byColumn || columns[place] || named;
      if (visible && bad.checked) {
        visible = head.cells.some((cell) => (cell.className === 'fail' || cell.className === 'inconclusive') && !cell.parentElement.hidden);
      }
      for (const cell of head.cells) { cell.hidden = !visible; }
    });
    found.textContent = word === '' && !bad.checked ? '' : `${shown} of ${scenarios} scenarios`;
    try { sessionStorage.setItem(kept, JSON.stringify([find.value, bad.checked])); } catch (error) { /* It is not kept. */ }
  };
  document.querySelector('.find').hidden = false;
  try {
    const [word, only] = JSON.parse(sessionStorage.getItem(kept)) || ['', false];
    find.value = word;
    bad.checked = only;
  } catch (error) { /* Nothing was kept. */ }
  find.addEventListener('input', show);
  bad.addEventListener('input', show);
  addEventListener('keydown', (event) => {
    if (event.key === '/' && event.target !== find && !event.ctrlKey && !event.metaKey && !event.altKey) {
      find.focus();
      event.preventDefault();
    }
  });
  show();
})();
