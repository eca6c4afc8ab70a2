'use strict';
// Workflows with conditions: what a task waits for, what has it skipped, what cancels it.

const { Or, SleepCondition, UserEventCondition } = require('@hatchet-dev/typescript-sdk/v1');

function build(hatchet) {
  const declared = [branches(hatchet), events(hatchet), cancelled(hatchet), single(hatchet)];
  return Object.fromEntries(declared.map((workflow) => [workflow.name, workflow]));
}

const number = (value) => async () => ({ number: value });
const triggers = async (_, ctx) => ({ triggers: ctx.triggers() });

// The first task of most: it says the number of the input.
const start = (workflow) => workflow.task({ name: 'start', fn: async (input) => ({ number: input.number }) });

// A sleep, two branches of which one is skipped, and a sum over what ran.
function branches(hatchet) {
  const workflow = hatchet.workflow({ name: 'branches' });
  const first = start(workflow);
  const slept = workflow.task({
    name: 'slept',
    parents: [first],
    waitFor: [{ sleepFor: '1s' }],
    fn: async (input, ctx) => ({ number: input.number, triggers: ctx.triggers() }),
  });
  const left = workflow.task({
    name: 'left',
    parents: [slept],
    skipIf: [{ parent: slept, expression: 'output.number > 50' }],
    fn: number(1),
  });
  const right = workflow.task({
    name: 'right',
    parents: [slept],
    skipIf: [{ parent: slept, expression: 'output.number <= 50' }],
    fn: number(2),
  });
  const neither = workflow.task({
    name: 'neither',
    parents: [first],
    skipIf: Or({ parent: first, expression: 'output.number >= 1' }, { parent: first, expression: 'output.number > 1000' }),
    fn: number(3),
  });
  const below = workflow.task({ name: 'below', parents: [neither], fn: number(4) });
  workflow.task({
    name: 'join',
    parents: [left, right, below],
    fn: async (_, ctx) => Promise.all([left, right, below].map((parent) => ctx.parentOutput(parent))).then((outputs) => ({ outputs })),
  });
  return workflow;
}

// Tasks that wait for events, and races between events and sleeps.
function events(hatchet) {
  const workflow = hatchet.workflow({ name: 'events' });
  const parents = [start(workflow)];
  workflow.task({
    name: 'by_event',
    parents,
    waitFor: Or({ sleepFor: '60s' }, { eventKey: 'events:go' }),
    fn: triggers,
  });
  workflow.task({
    name: 'by_its_number',
    parents,
    waitFor: [new UserEventCondition('events:pick', 'input.number == 7', 'picked')],
    fn: triggers,
  });
  workflow.task({
    name: 'skipped_by_event',
    parents,
    waitFor: [new SleepCondition('60s')],
    skipIf: [{ eventKey: 'events:skip' }],
    fn: number(3),
  });
  workflow.task({
    name: 'skipped_by_sleep',
    parents,
    waitFor: [{ eventKey: 'events:never' }],
    skipIf: [{ sleepFor: '1s' }],
    fn: number(4),
  });
  workflow.task({
    name: 'by_output_or_event',
    parents,
    waitFor: Or({ parent: parents[0], expression: 'output.number > 50' }, { eventKey: 'events:go' }),
    fn: number(5),
  });
  return workflow;
}

// A task that an output or an event cancels, and one below it.
function cancelled(hatchet) {
  const workflow = hatchet.workflow({ name: 'cancelled' });
  const first = start(workflow);
  const fragile = workflow.task({
    name: 'fragile',
    parents: [first],
    waitFor: [{ sleepFor: '60s' }],
    cancelIf: Or({ parent: first, expression: 'output.number > 50' }, { eventKey: 'cancelled:abort' }),
    fn: number(1),
  });
  workflow.task({ name: 'below', parents: [fragile], fn: number(2) });
  return workflow;
}

// A workflow of one task that waits.
function single(hatchet) {
  const workflow = hatchet.workflow({ name: 'single' });
  workflow.task({ name: 'only', waitFor: [{ sleepFor: '1s' }], fn: triggers });
  return workflow;
}

module.exports = { build };
