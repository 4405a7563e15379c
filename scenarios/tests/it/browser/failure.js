// What does not work on the page of a failure, as lines of text.
const wrong = [];
const must = (holds, what) => { if (!holds) wrong.push(what); };
const one = (what) => document.querySelector(what);
const all = (what) => Array.from(document.querySelectorAll(what));

// The copy button, without a clipboard as with one that refuses: the command is at least selected.
const button = one('button[data-copy]');
must(button && !button.hidden, 'there is no copy button');
Object.defineProperty(navigator, 'clipboard', { value: undefined, configurable: true });
button.click();
must(['Copied', 'Selected'].includes(button.textContent), `the button says ${button.textContent}`);
must(getSelection().toString().trim() === one('#replay').textContent.trim(), `selected is ${getSelection()}`);
let wanted = null;
Object.defineProperty(navigator, 'clipboard', {
  value: { writeText: (text) => { wanted = text; return Promise.resolve(); } }, configurable: true,
});
button.click();
must(wanted === one('#replay').textContent, `copied is ${wanted}`);

// Zooming: every lane and the shades behind them have the same window, and the axis follows.
const windows = () => new Set(all('.lanes svg.plot').map((plot) => plot.getAttribute('viewBox')));
const labels = () => all('.axis.ticks span').map((tick) => tick.textContent).join(' ');
const whole = [...windows()];
const before = labels();
must(whole.length === 1, `lanes show ${whole}`);
one('[data-zoom="20000"]').click();
const near = [...windows()];
must(near.length === 1 && near[0] !== whole[0], `zoomed in, lanes show ${near}`);
must(labels() !== before, 'the axis does not follow');
const [from, , span] = near[0].split(' ').map(Number);
const first = Number(one('.lanes').dataset.first);
must(span <= 40000 && from <= first && first <= from + span, `the breach at ${first} is outside of ${near}`);
one('[data-zoom="all"]').click();
must([...windows()].join() === whole.join(), `zoomed out, lanes show ${[...windows()]}`);

// Filtering.
const shown = () => all('.lane').filter((lane) => !lane.hidden).map((lane) => lane.dataset.name);
const count = shown().length;
const set = (element, value) => { element[element.type === 'checkbox' ? 'checked' : 'value'] = value; element.dispatchEvent(new Event('input', { bubbles: true })); };
set(one('[data-name]'), 'source-0');
must(shown().length > 0 && shown().every((name) => name.includes('source-0')), `by name: ${shown()}`);
set(one('[data-name]'), '');
set(one('input[data-kind="client"]'), false);
must(shown().length < count && shown().every((name) => !name.startsWith('client-')), `without clients: ${shown()}`);
set(one('input[data-kind="client"]'), true);
set(one('[data-only]'), true);
must(shown().length > 0 && shown().length < count, `what the breach names: ${shown()}`);
set(one('[data-only]'), false);
must(shown().length === count, `at the end: ${shown()}`);

// A click on a bar says what it is.
one('.bar').dispatchEvent(new MouseEvent('click', { bubbles: true }));
must(one('.picked').textContent === one('.bar title').textContent, `picked is ${one('.picked').textContent}`);

return wrong;
