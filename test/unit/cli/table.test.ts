import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from '#src/cli/parse.js'
import { findCommand, type OptionRow } from '#src/cli/table.js'
import { FANOUT_MODE_NAMES, KINDS } from '#src/cli/units.js'
import { BACKENDS, COUNT_CLASSES, COUNT_MODES, countInKernel, FANOUT_MODES, planCapture, TRANSMIT_BACKENDS, XDP_MODES } from '#src/index.js'

const MACHINE = { pageSize: 4096, cpus: [0, 1], availableMemoryBytes: 2 ** 40 }

function row(command: string, name: string): OptionRow {
  const option = findCommand(command)?.options.find((it) => it.name === name)
  assert.ok(option !== undefined, name)
  return option
}

function libraryDefault(name: string): string {
  return row('capture', name).libraryDefault ?? ''
}

test("the defaults that the help shows are the library's", () => {
  const plan = planCapture({ interface: 'eth0' }, MACHINE)
  const { parse: size } = KINDS.size
  assert.equal(size(libraryDefault('ring')), plan.ring.blockBytes * plan.ring.blockCount)
  assert.equal(size(libraryDefault('block')), plan.ring.blockBytes)
  const xdp = planCapture({ interface: 'eth0', backend: 'xdp' }, MACHINE)
  assert.equal(size(libraryDefault('ring')), xdp.xdp.memoryBytes)
  const [ofRing, ofXdp] = libraryDefault('block-timeout').split('; ') as [string, string]
  assert.equal(KINDS.duration.parse(ofRing), plan.ring.blockTimeoutMs)
  assert.equal(KINDS.duration.parse(ofXdp.replace(' with xdp', '')), xdp.xdp.coalesceMs)
  assert.equal(libraryDefault('xdp-mode'), xdp.xdp.mode)
  assert.equal(KINDS.integer.parse(libraryDefault('busy-poll')), xdp.xdp.busyPollUs)
  assert.equal(size(libraryDefault('receive-buffer')), plan.receiveBufferBytes)
  assert.equal(KINDS.integer.parse(libraryDefault('batch')), plan.batch)
  assert.equal(KINDS.workers.parse(libraryDefault('workers')), plan.workersPerInterface)
  assert.equal(size(libraryDefault('snap-length')), planCapture({ interface: 'eth0', backend: 'recv' }, MACHINE).snapLengthBytes)
  assert.equal(libraryDefault('fanout'), planCapture({ interface: 'eth0', workers: 2 }, MACHINE).fanout?.mode)
  assert.equal(libraryDefault('backend'), BACKENDS[0])
  assert.ok(plan.promiscuous && plan.pin === undefined && plan.direction === undefined)
})

test("the words of an option are the library's", () => {
  assert.deepEqual(row('capture', 'backend').values, BACKENDS)
  assert.deepEqual(row('capture', 'xdp-mode').values, XDP_MODES)
  assert.deepEqual(row('count', 'xdp-mode').values, ['auto', ...COUNT_MODES])
  assert.deepEqual(FANOUT_MODE_NAMES, FANOUT_MODES)
  assert.deepEqual(row('replay', 'backend').values, TRANSMIT_BACKENDS)
})

test('every option that the library has a name for is one that the library knows', () => {
  const options = findCommand('capture')?.options ?? []
  for (const { api, name } of options) {
    if (api === undefined) continue
    const [known = ''] = api.split('.')
    // An unknown option is refused by name; a known one is refused, if at all, for its value.
    assert.doesNotThrow(() => {
      try {
        planCapture({ interface: 'eth0', [known]: undefined } as Parameters<typeof planCapture>[0], MACHINE)
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('Unknown option')) throw error
      }
    }, name)
  }
})

test('count has an option for all that countInKernel takes, and its help a word for every class', () => {
  const command = findCommand('count')
  assert.throws(
    () => countInKernel({ interface: 'eth0', nonsense: true } as Parameters<typeof countInKernel>[0]),
    (error) => {
      const known = /options: (.*)$/.exec((error as { hint?: string }).hint ?? '')?.[1]?.split(', ')
      assert.deepEqual(known?.sort(), (command?.options ?? []).flatMap(({ api }) => api ?? []).sort())
      return true
    },
  )
  for (const name of COUNT_CLASSES) assert.match(command?.doc.join(' ') ?? '', new RegExp(`\\b${name}\\b`))
})

test('a command line with every option of a command is understood', () => {
  const samples: Record<string, string> = {
    string: 'x',
    words: 'a,b',
    integer: '10',
    size: '60',
    kibibytes: '4096',
    millions: '100',
    duration: '60ms',
    seconds: '10',
    rate: '1M',
    'rate-or-max': 'max',
    'sending-rate': '1Gbit',
    factor: '2',
    ring: '256M',
    workers: 'auto',
    cpus: '0',
    pin: 'queues',
    fanout: 'hash',
    json: '1',
    instant: '2026-11-20T15:38:19Z',
  }
  for (const command of ['capture', 'interfaces', 'rate', 'count', 'filter', 'flood', 'read', 'replay', 'bench']) {
    const argv = (findCommand(command)?.options ?? []).flatMap(({ name, kind, values }) =>
      kind === 'flag' ? [`--${name}`] : [`--${name}`, kind === 'enum' ? (values?.[0] ?? '') : (samples[kind] ?? '')],
    )
    assert.equal(parseArguments([command, ...argv]).run, command)
  }
})
