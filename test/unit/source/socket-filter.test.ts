import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encodeProgram, type Instruction, validateProgram } from '#src/bpf/classic.js'
import { interpret } from '#src/bpf/interpret.js'
import { CaptureError } from '#src/errors.js'
import { compileFilter } from '#src/filter/compile.js'
import { PACKET_HOST, PACKET_OUTGOING } from '#src/kernel/abi/if_packet.js'
import { socketProgram } from '#src/source/socket-filter.js'
import { udpFrame } from '../../support/live.js'

const DIRECTIONS = ['in', 'out', 'inout'] as const

describe('without a filter', () => {
  /** The packet is its type alone. */
  const run = (program: readonly Instruction[], packetType: number) => {
    validateProgram(program)
    return interpret(program, new Uint8Array(0), 0, 0, 0, { packetType })
  }
  const types = [0, 1, 2, 3, 4]
  for (const [direction, taken] of [
    ['in', [0, 1, 2, 3]],
    ['out', [4]],
    ['inout', types],
  ] as const) {
    test(`${direction} takes types ${taken.join(', ')}`, () => {
      const program = socketProgram(undefined, 96, direction)
      for (const type of types) assert.equal(run(program, type), (taken as readonly number[]).includes(type) ? 96 : 0, `type ${type}`)
    })
  }

  test('the snap length is an unsigned word', () => {
    assert.equal(run(socketProgram(undefined, 262_144, 'inout'), 0), 262_144)
    assert.equal(encodeProgram(socketProgram(undefined, 0xffff_ffff, 'inout')).length, 8)
  })
})

test('with one: what it accepts of the direction, cut to the snap length', () => {
  const { instructions } = compileFilter('udp port 53')
  const matching = udpFrame(1000, 1)
  const other = udpFrame(1000, 1, 54)
  for (const direction of DIRECTIONS) {
    const program = socketProgram(instructions, 96, direction)
    validateProgram(program)
    for (const packetType of [PACKET_HOST, PACKET_OUTGOING]) {
      const isMeant = direction === 'inout' || (direction === 'out') === (packetType === PACKET_OUTGOING)
      const answer = (frame: Uint8Array) => interpret(program, frame, 0, frame.length, frame.length, { packetType })
      assert.deepEqual([answer(matching), answer(other)], [isMeant ? 96 : 0, 0], `${direction} ${packetType}`)
    }
  }
})

test('the filter begins with an A of 0, as it may count on', () => {
  const startsWithA: Instruction[] = [
    [0x15, 0, 1, 0],
    [0x06, 0, 0, 1],
    [0x06, 0, 0, 0],
  ]
  const frame = new Uint8Array(60)
  assert.equal(interpret(socketProgram(startsWithA, 5, 'out'), frame, 0, 60, 60, { packetType: PACKET_OUTGOING }), 5)
})

test('a filter that is as long as can be has room for no direction', () => {
  const full: Instruction[] = [...Array.from({ length: 4095 }, (): Instruction => [0x00, 0, 0, 1]), [0x06, 0, 0, 1]]
  assert.equal(socketProgram(full, 96, 'inout').length, 4096)
  assert.throws(
    () => socketProgram(full, 96, 'in'),
    (error) => error instanceof CaptureError && error.code === 'INVALID_FILTER',
  )
})
