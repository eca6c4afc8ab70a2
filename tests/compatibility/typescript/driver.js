'use strict';
// A client program of the official TypeScript client that does what it reads: one JSON request per line on standard
// input, one JSON answer per line on standard output, in the order in which the answers come.

// What the client logs goes to standard error, so that standard output holds answers alone.
globalThis.console = new (require('node:console').Console)(process.stderr);

const { createInterface } = require('node:readline');
const { HatchetClient } = require('@hatchet-dev/typescript-sdk/v1');
const { build } = require('./workflows');

const hatchet = HatchetClient.init();
const workflows = build(hatchet);
const references = new Map();

const deeds = {
  // Run and wait; an array as input is a bulk.
  run: ({ workflow, input, options }) => workflows[workflow].run(input, options),
  // Run without waiting: the run's id, or the ids.
  start: async ({ workflow, input, options }) => {
    const found = await workflows[workflow].runNoWait(input, options);
    return Array.isArray(found) ? Promise.all(found.map(remember)) : remember(found);
  },
  // Wait for a run that `start` has begun.
  result: ({ run }) => references.get(run).output,
  // The client returns the whole HTTP exchange; its body is the answer.
  cancel: async ({ runs }) => (await hatchet.runs.cancel({ ids: runs })).data,
  replay: async ({ runs }) => (await hatchet.runs.replay({ ids: runs })).data,
  status: ({ run }) => hatchet.runs.get_status(run),
  get: ({ run }) => hatchet.runs.get(run),
  tenant: () => hatchet.tenant.get(),
};

async function remember(reference) {
  const id = await reference.getWorkflowRunId();
  references.set(id, reference);
  return id;
}

async function answer({ id, deed, ...facts }) {
  try {
    write({ id, value: (await deeds[deed](facts)) ?? null });
  } catch (problem) {
    write({ id, error: problem instanceof Error ? problem.message : problem });
  }
}

function write(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

createInterface({ input: process.stdin })
  .on('line', (line) => answer(JSON.parse(line)))
  .on('close', () => process.exit(0));
