/** Pins 1 MiB, raises the limit, pins 1 MiB and then 4 MiB, and says what came of it. Started with a lowered limit. */
import { readFileSync } from 'node:fs'
import { memlockHint, raiseMemlock } from '#src/kernel/memlock.js'
import { SharedMemory } from '#src/kernel/shared-memory.js'
import { openKernel } from '#src/kernel/system.js'
import { registerUmem } from '../support/umem.js'

export interface Pinned {
  before: number
  after: number
  tooMuch: number
  hint: string
  limits: string
}

const MIB = 2 ** 20
const kernel = openKernel()

function pin(bytes: number): number {
  using memory = SharedMemory.create(kernel, { name: 'ringtap test', bytes, hugepages: false })
  const { result, socket } = registerUmem(kernel, memory)
  socket.close()
  return result
}

const before = pin(MIB)
raiseMemlock(kernel)
const limits = readFileSync('/proc/self/limits', 'latin1')
const pinned: Pinned = { before, after: pin(MIB), tooMuch: pin(4 * MIB), hint: memlockHint(kernel, 4 * MIB), limits }
process.stdout.write(JSON.stringify(pinned))
