'use strict';
// A worker of the official TypeScript client, in a process of its own: `node worker.js '{"name": …, "slots": …}'`.
// It runs the workflows of the programs named in `programs`, or those named in `only`.

const { HatchetClient } = require('@hatchet-dev/typescript-sdk/v1');
const { build } = require('./programs');

async function main() {
  const options = JSON.parse(process.argv[2]);
  const hatchet = HatchetClient.init();
  const workflows = build(hatchet, options.programs ?? ['workflows']);
  const worker = await hatchet.worker(options.name, {
    slots: options.slots ?? 10,
    labels: options.labels ?? {},
    workflows: options.only ? options.only.map((name) => workflows[name]) : Object.values(workflows),
  });
  await worker.start();
}

main().catch((problem) => {
  console.error(problem);
  process.exit(1);
});
