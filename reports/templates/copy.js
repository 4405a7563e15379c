(() => {
  'use strict';
  // Copying: through the clipboard where there is one (a file is often not trusted with it), else by selecting the text.
  for (const button of document.querySelectorAll('button[data-copy]')) {
    const source = document.getElementById(button.dataset.copy);
    const say = (word) => {
      button.textContent = word;
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    };
    const bySelection = () => {
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      let copied = false;
      try { copied = document.execCommand('copy'); } catch (error) { copied = false; }
      say(copied ? 'Copied' : 'Selected');
    };
    button.hidden = false;
    button.addEventListener('click', () => {
      if (navigator.clipboard && navigator.clipboard.writeText) {
        navigator.clipboard.writeText(source.textContent).then(() => say('Copied'), bySelection);
      } else {
        bySelection();
      }
    });
  }
})();
