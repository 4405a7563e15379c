(() => {
  'use strict';
  const all = (what, within) => Array.from((within || document).querySelectorAll(what));

  // The timeline: zooming is another view box of every lane.
  const lanes = document.querySelector('.lanes');
  if (!lanes) { return; }
  const controls = document.querySelector('.controls');
  const plots = all('svg.plot', lanes);
  const labels = all('[data-at]', lanes);
  const axis = lanes.querySelector('.axis.ticks');
  const picked = document.querySelector('.picked');
  const end = Number(lanes.dataset.end);
  const first = lanes.dataset.first === undefined ? null : Number(lanes.dataset.first);
  const least = 50;
  let from = 0;
  let to = end;
  controls.hidden = false;
  picked.hidden = false;
  picked.textContent = 'Drag over the lanes to zoom in, twice click for the whole run; keys: + − ← → 0. Click on anything to read it here.';

  const step = (span) => {
    const power = Math.pow(10, Math.floor(Math.log10(span / 6)));
    return [1, 2, 5, 10].map((times) => times * power).find((size) => size >= span / 6) || power * 10;
  };
  const draw = () => {
    const span = to - from;
    for (const plot of plots) { plot.setAttribute('viewBox', `${from} 0 ${span} 100`); }
    for (const label of labels) {
      const at = Number(label.dataset.at);
      const until = at + Number(label.dataset.lasts);
      label.hidden = until < from || at > to;
      const place = Math.min(100, Math.max(0, (at - from) / span * 100));
      const ends = place > 50;
      label.classList.toggle('ends', ends);
      label.style.left = ends ? 'auto' : `${place}%`;
      label.style.right = ends ? `${100 - place}%` : 'auto';
      label.style.maxWidth = `${ends ? place : 100 - place}%`;
    }
    const size = Math.max(1, step(span));
    const decimals = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(size))));
    const ticks = [];
    for (let at = Math.ceil(from / size) * size; at <= to; at += size) {
      const tick = document.createElement('span');
      tick.style.left = `${(at - from) / span * 100}%`;
      tick.textContent = (at / 1e6).toFixed(decimals);
      ticks.push(tick);
    }
    const unit = document.createElement('b');
    unit.textContent = 's';
    axis.replaceChildren(...ticks, unit);
  };
  const show = (begin, finish) => {
    const span = Math.min(end, Math.max(least, finish - begin));
    from = Math.min(Math.max(0, begin), end - span);
    to = from + span;
    draw();
  };
  const scale = (by) => {
    const middle = first !== null && first > from && first < to ? first : (from + to) / 2;
    show(middle - (middle - from) * by, middle + (to - middle) * by);
  };
  const move = (by) => { const span = to - from; show(from + span * by, to + span * by); };
  const act = {
    all: () => show(0, end), in: () => scale(0.5), out: () => scale(2), left: () => move(-0.4), right: () => move(0.4),
  };
  for (const button of all('[data-zoom]', controls)) {
    const what = button.dataset.zoom;
    const around = Number(what);
    button.addEventListener('click', act[what] || (() => show(first - around, first + around)));
  }
  lanes.addEventListener('keydown', (event) => {
    const what = { '+': 'in', '=': 'in', '-': 'out', '0': 'all', ArrowLeft: 'left', ArrowRight: 'right' }[event.key];
    if (what && !event.ctrlKey && !event.metaKey && !event.altKey) { act[what](); event.preventDefault(); }
  });

  // Dragging over the plot chooses a stretch.
  const back = lanes.querySelector('.back');
  const chosen = document.createElement('div');
  chosen.className = 'chosen';
  chosen.hidden = true;
  back.append(chosen);
  let began = null;
  const place = (event) => {
    const box = back.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  lanes.addEventListener('pointerdown', (event) => {
    if (event.button === 0 && event.target.closest('svg.plot')) { began = place(event); }
  });
  lanes.addEventListener('pointermove', (event) => {
    if (began === null) { return; }
    const now = place(event);
    chosen.hidden = Math.abs(now - began) < 0.01;
    chosen.style.left = `${Math.min(began, now) * 100}%`;
    chosen.style.width = `${Math.abs(now - began) * 100}%`;
  });
  addEventListener('pointerup', (event) => {
    if (began === null) { return; }
    const now = place(event);
    const [a, b] = [Math.min(began, now), Math.max(began, now)];
    const span = to - from;
    if (b - a >= 0.01) { show(from + a * span, from + b * span); }
    began = null;
    chosen.hidden = true;
  });
  addEventListener('pointercancel', () => { began = null; chosen.hidden = true; });
  lanes.addEventListener('dblclick', () => show(0, end));
  lanes.addEventListener('click', (event) => {
    const title = event.target.querySelector && event.target.closest('svg.plot') && event.target.querySelector(':scope > title');
    if (title) { picked.textContent = title.textContent; }
  });

  // Filters.
  const kinds = all('[data-kind]', controls);
  const only = controls.querySelector('[data-only]');
  const name = controls.querySelector('[data-name]');
  const filter = () => {
    const on = new Set(kinds.filter((box) => box.checked).map((box) => box.dataset.kind));
    const wanted = name.value.trim().toLowerCase();
    for (const lane of all('.lane', lanes)) {
      lane.hidden = !on.has(lane.dataset.kind)
        || (only !== null && only.checked && !lane.classList.contains('named'))
        || !lane.dataset.name.toLowerCase().includes(wanted);
    }
  };
  controls.addEventListener('input', filter);
})();
