import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ledgerLines } from '#src/cli/ledger-lines.js'
import type { Ledger, LedgerRow } from '#src/index.js'

function row(kind: LedgerRow['kind'], place: LedgerRow['place'], count: number, label: string): LedgerRow {
  return { kind, place, count, label, metric: 'm', labels: { place }, name: `m{place="${place}"}`, source: `from ${place}` }
}

const LEDGER: Ledger = {
  seconds: 2.04,
  settled: true,
  rows: [
    row('in', 'received', 100, 'received by eth0'),
    row('lost', 'ring', 30, 'ring full, worker 0'),
    row('lost', 'writer', 0, 'not written, worker 0'),
    row('delivered', 'delivered', 70, 'delivered, worker 0'),
  ],
  interfaces: [{ interface: 'eth0', in: 100, lost: 30, left: 0, delivered: 70, byDifference: 0, residual: 0, caveats: ['GRO is on'] }],
  sockets: { offered: 100, dropped: 30, delivered: 70, waiting: 0, residual: 0 },
  residual: 0,
  cpus: [],
  unread: [],
}

test('the table, without what is 0, and the equations below it', () => {
  assert.deepEqual(ledgerLines(LEDGER, false), [
    'ledger of 2.0s',
    '   packets  where                source',
    '+      100  received by eth0     from received',
    '-       30  ring full, worker 0  from ring',
    '=       70  delivered, worker 0  from delivered',
    'sockets: 100 offered - 30 dropped - 70 delivered = residual 0',
    'eth0: 100 in - 30 lost - 0 elsewhere - 70 delivered = residual 0',
  ])
})

test('with all of it: rows of 0, and the names', () => {
  const lines = ledgerLines(LEDGER, true)
  assert.match(lines[1] as string, /^ +packets +where +source +name$/)
  assert.match(lines.join('\n'), /^- +0 +not written, worker 0 +from writer +m\{place="writer"\}$/m)
})

test('what may explain a residual stands below it, and what could not be read at the end', () => {
  const [balance] = LEDGER.interfaces
  const unread = [{ what: 'backlogs', source: '/proc/net/softnet_stat', reason: 'ENOENT' }]
  const sockets = { ...LEDGER.sockets, waiting: 4 }
  assert.deepEqual(ledgerLines({ ...LEDGER, sockets, interfaces: [{ ...balance, residual: 2 }], unread }, false).slice(-4), [
    'sockets: 100 offered - 30 dropped - 4 on the way - 70 delivered = residual 0',
    'eth0: 100 in - 30 lost - 0 elsewhere - 70 delivered = residual 2',
    '  GRO is on',
    'not read: backlogs (/proc/net/softnet_stat): ENOENT',
  ])
})

test('a residual of 0 that is one only by difference has its caveats, too', () => {
  const [balance] = LEDGER.interfaces
  assert.deepEqual(ledgerLines({ ...LEDGER, interfaces: [{ ...balance, left: 20, byDifference: 20 }] } as Ledger, false).slice(-2), [
    'eth0: 100 in - 30 lost - 20 elsewhere - 70 delivered = residual 0, 20 of those elsewhere by difference',
    '  GRO is on',
  ])
})
