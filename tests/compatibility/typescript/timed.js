'use strict';
// A task that the clock starts: each second by its declaration, and whenever a test asks for it.

const journal = require('./journal');

function build(hatchet) {
  const ticker = hatchet.task({
    name: 'ticker',
    onCrons: ['* * * * * *'],
    fn: async ({ number = 7 }, ctx) => {
      journal.write('ticker', { number, priority: ctx.priority(), metadata: ctx.additionalMetadata() });
      return { value: 2 * number };
    },
  });
  return { ticker };
}

module.exports = { build };
