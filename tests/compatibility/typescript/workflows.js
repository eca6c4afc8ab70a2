'use strict';
// Workflows for the official TypeScript client, as its users write them. `build` declares them on a client; a worker
// runs them, and the driver triggers them through the same declarations.

const { setTimeout: sleep } = require('node:timers/promises');
const { NonRetryableError, Priority, StickyStrategy, WorkerLabelComparator } = require('@hatchet-dev/typescript-sdk/v1');
const journal = require('./journal');

const whereIRun = (_, ctx) => ({ worker: ctx.worker.id() });

function build(hatchet) {
  const declared = [...plain(hatchet), ...labelled(hatchet), ...sticky(hatchet), graph(hatchet), broken(hatchet)];
  return Object.fromEntries(declared.map((workflow) => [workflow.name, workflow]));
}

function plain(hatchet) {
  const double = hatchet.task({
    name: 'double',
    fn: async ({ number }) => ({ value: 2 * number }),
  });

  const parent = hatchet.task({
    name: 'parent',
    fn: async ({ number }) => {
      const results = await double.run(Array.from({ length: number }, (_, index) => ({ number: index })));
      return { sum: results.reduce((sum, result) => sum + result.value, 0) };
    },
  });

  const failsOnce = hatchet.task({
    name: 'fails_once',
    retries: 2,
    fn: async (_, ctx) => {
      if (ctx.retryCount() === 0) throw new Error('the first attempt fails');
      return { retry: ctx.retryCount() };
    },
  });

  const failsForGood = hatchet.task({
    name: 'fails_for_good',
    retries: 3,
    fn: async (_, ctx) => {
      journal.write('fails_for_good', { retry: ctx.retryCount() });
      throw new NonRetryableError('no use in trying again');
    },
  });

  const noteLevel = async ({ number }, ctx) => {
    journal.write('priority', { number, priority: ctx.priority() });
    return { priority: ctx.priority() };
  };
  const ordinary = hatchet.task({ name: 'ordinary', fn: noteLevel });
  const urgent = hatchet.task({ name: 'urgent', defaultPriority: Priority.HIGH, fn: noteLevel });

  const sleeper = hatchet.task({
    name: 'sleeper',
    executionTimeout: '120s',
    fn: async ({ number, seconds }, ctx) => {
      const facts = { number, retry: ctx.retryCount(), worker: ctx.worker.id() };
      journal.write('sleeper', facts);
      try {
        await sleep(1000 * seconds, undefined, { signal: ctx.abortController.signal });
      } catch (problem) {
        journal.write('sleeper cancelled', { ...facts, cancelled: ctx.cancelled });
        throw problem;
      }
      journal.write('sleeper done', facts);
      return { value: 2 * number, worker: ctx.worker.id() };
    },
  });

  return [double, parent, failsOnce, failsForGood, ordinary, urgent, sleeper];
}

function labelled(hatchet) {
  const zoned = hatchet.task({
    name: 'zoned',
    desiredWorkerLabels: { zone: { value: 'a', required: true } },
    fn: whereIRun,
  });

  const roomy = hatchet.task({
    name: 'roomy',
    desiredWorkerLabels: {
      memory: { value: 400, required: true, comparator: WorkerLabelComparator.GREATER_THAN },
    },
    fn: whereIRun,
  });

  const anywhere = hatchet.task({ name: 'anywhere', fn: whereIRun });

  const relabel = hatchet.task({
    name: 'relabel',
    fn: async (_, ctx) => {
      await ctx.worker.upsertLabels({ model: 'v2' });
      return { worker: ctx.worker.id() };
    },
  });

  return [zoned, roomy, anywhere, relabel];
}

// The seed's sticky workflow and its child, in both strategies. Observed with client 1.33.2: `child.run(input,
// { sticky: true })` sends no wish for a worker; the forms of the context do.
function sticky(hatchet) {
  return [StickyStrategy.SOFT, StickyStrategy.HARD].flatMap((strategy) => {
    const child = hatchet.workflow({ name: `sticky-${strategy}-child`, sticky: strategy });
    child.task({ name: 'child', fn: whereIRun });

    const parent = hatchet.workflow({ name: `sticky-${strategy}`, sticky: strategy });
    const step1a = parent.task({ name: 'step1a', fn: whereIRun });
    const step1b = parent.task({ name: 'step1b', fn: whereIRun });
    parent.task({
      name: 'step2',
      parents: [step1a, step1b],
      fn: async (_, ctx) => {
        const result = await ctx.runChild(child, {}, { sticky: true });
        return { worker: ctx.worker.id(), child: result.child.worker };
      },
    });
    return [parent, child];
  });
}

function graph(hatchet) {
  const workflow = hatchet.workflow({ name: 'graph' });
  const left = workflow.task({ name: 'left', fn: async ({ number }) => ({ value: number + 1 }) });
  const right = workflow.task({
    name: 'right',
    retries: 1,
    fn: async ({ number }, ctx) => {
      if (ctx.retryCount() === 0) throw new Error('right fails once');
      return { value: number + 2 };
    },
  });
  workflow.task({
    name: 'join',
    parents: [left, right],
    fn: async (_, ctx) => {
      const [one, two] = await Promise.all([ctx.parentOutput(left), ctx.parentOutput(right)]);
      return { value: one.value + two.value };
    },
  });
  return workflow;
}

function broken(hatchet) {
  const workflow = hatchet.workflow({ name: 'broken' });
  workflow.task({
    name: 'breaks',
    fn: async () => {
      throw new Error('broken on purpose');
    },
  });
  workflow.onFailure({
    name: 'mend',
    fn: async (_, ctx) => {
      journal.write('mend', { errors: ctx.errors() });
      return { mended: true };
    },
  });
  return workflow;
}

module.exports = { build };
