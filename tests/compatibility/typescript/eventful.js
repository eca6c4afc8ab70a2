'use strict';
// Tasks that events start. Each writes what it knows of its event.

const journal = require('./journal');

function build(hatchet) {
  const declare = (name, options) =>
    hatchet.task({
      name,
      ...options,
      fn: async (input, ctx) => {
        journal.write('event', {
          task: name,
          input,
          metadata: ctx.additionalMetadata(),
          filter: ctx.filterPayload(),
          event_id: ctx.triggeringEventId(),
          key: ctx.triggeringEventKey(),
          priority: ctx.priority(),
        });
        return {};
      },
    });

  return {
    'on-orders': declare('on-orders', { onEvents: ['order:*', 'order:created'] }),
    'on-invoices': declare('on-invoices', {
      onEvents: ['invoice'],
      defaultFilters: [
        { expression: 'input.sum >= payload.least', scope: 'eu', payload: { least: 10 } },
        { expression: 'true', scope: 'us', payload: { least: 0 } },
      ],
    }),
  };
}

module.exports = { build };
