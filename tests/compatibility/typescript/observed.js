'use strict';
// A task that says what it does: lines of a log, and chunks for whoever listens.

const { existsSync } = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

function build(hatchet) {
  const talkative = hatchet.task({
    name: 'talkative',
    fn: async (input, ctx) => {
      await ctx.logger.info('hello');
      await ctx.logger.warn('beware');
      for (; !existsSync(input.until); await sleep(20)) await ctx.putStream('?'); // until somebody listens
      for (let number = 0; number < 20; number += 1) await ctx.putStream(`chunk ${number}`);
      return { task: ctx.taskRunExternalId() };
    },
  });
  return { talkative };
}

module.exports = { build };
