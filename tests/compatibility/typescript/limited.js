'use strict';
// Workflows with concurrency limits. Every task writes when it begins and when it ends; what it does between is to
// sleep for `seconds`, or to wait until the file `until` is there.

const { existsSync } = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { ConcurrencyLimitStrategy } = require('@hatchet-dev/typescript-sdk/v1');
const journal = require('./journal');

const { GROUP_ROUND_ROBIN, CANCEL_IN_PROGRESS, CANCEL_NEWEST } = ConcurrencyLimitStrategy;

const limit = (expression, maxRuns, limitStrategy) => ({ expression, maxRuns, limitStrategy });

const work = (task) => async (input, ctx) => {
  const { signal } = ctx.abortController;
  journal.write('begun', { task, ...input });
  if (input.seconds) await sleep(1000 * input.seconds, undefined, { signal });
  while (input.until && !existsSync(input.until)) await sleep(20, undefined, { signal });
  journal.write('ended', { task, ...input });
  return { number: input.number };
};

const TASKS = {
  by_group: { concurrency: limit('input.group', 1, GROUP_ROUND_ROBIN) },
  newest_wins: { concurrency: limit("'constant'", 1, CANCEL_IN_PROGRESS) },
  first_wins: { concurrency: limit("'constant'", 1, CANCEL_NEWEST) },
  two_limits: { concurrency: [limit('input.digit', 8, GROUP_ROUND_ROBIN), limit('input.group', 3, GROUP_ROUND_ROBIN)] },
  no_such_key: { concurrency: limit('input.missing', 1, GROUP_ROUND_ROBIN), retries: 3 },
};

const WORKFLOWS = {
  'whole-by-group': [limit('input.group', 1, GROUP_ROUND_ROBIN), limit("'all'", 3, GROUP_ROUND_ROBIN)],
  'whole-newest-wins': limit("'constant'", 1, CANCEL_IN_PROGRESS),
  'whole-first-wins': limit("'constant'", 1, CANCEL_NEWEST),
};

function build(hatchet) {
  const tasks = Object.entries(TASKS).map(([name, options]) => hatchet.task({ name, ...options, fn: work(name) }));
  const workflows = Object.entries(WORKFLOWS).map(([name, concurrency]) => {
    const workflow = hatchet.workflow({ name, concurrency });
    const first = workflow.task({ name: 'first', fn: work(`${name} first`) });
    workflow.task({ name: 'second', parents: [first], fn: work(`${name} second`) });
    return workflow;
  });
  return Object.fromEntries([...tasks, ...workflows].map((one) => [one.name, one]));
}

module.exports = { build };
