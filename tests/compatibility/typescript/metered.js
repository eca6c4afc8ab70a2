'use strict';
// Tasks with rate limits. Every task writes when it begins.

const { RateLimitDuration } = require('@hatchet-dev/typescript-sdk/v1');
const journal = require('./journal');

const { MINUTE } = RateLimitDuration;

const TASKS = {
  per_second: { rateLimits: [{ staticKey: 'second', units: 1 }] },
  of_two: { rateLimits: [{ staticKey: 'plenty', units: 2 }, { staticKey: 'single', units: 1 }] },
  by_user: { rateLimits: [{ dynamicKey: 'input.user', units: 1, limit: 1, duration: MINUTE }] },
  by_units: { rateLimits: [{ dynamicKey: "'units'", units: 'input.units', limit: '5', duration: MINUTE }] },
  never: { rateLimits: [{ staticKey: 'three', units: 5 }], scheduleTimeout: '1s' },
  unknown: { rateLimits: [{ staticKey: 'unknown', units: 1 }], scheduleTimeout: '1s' },
};

function build(hatchet) {
  const declare = ([name, options]) =>
    hatchet.task({
      name,
      ...options,
      fn: async (input) => {
        journal.write('begun', { task: name, ...input });
        return { number: input.number };
      },
    });
  return Object.fromEntries(Object.entries(TASKS).map((entry) => [entry[0], declare(entry)]));
}

module.exports = { build };
