/** A linear memory of WebAssembly with a mapping at its beginning: one buffer, seen by code and by typed arrays alike. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { add, assembleModule, get, load } from '#src/file/wasm.js'
import { MFD_CLOEXEC } from '#src/kernel/abi/process.js'
import { isValidModule, LinearMemory } from '#src/kernel/linear-memory.js'
import { Mapping } from '#src/kernel/mapping.js'
import { openKernel } from '#src/kernel/system.js'

const kernel = openKernel()
const PAGES = 16 * 4096

/** Answers the word at an address, plus one. */
const READ_WORD = assembleModule({ parameters: 1, locals: [], body: add(load(get(0), 0), [0x41, 1]) })

function memfd(bytes: number): number {
  const fd = kernel.memfdCreate('test', MFD_CLOEXEC)
  assert.ok(fd >= 0)
  assert.equal(kernel.ftruncate(fd, bytes), 0)
  return fd
}

test('what is mapped there is seen by code and by typed arrays, and by who else has it mapped', () => {
  const fd = memfd(PAGES)
  const memory = LinearMemory.create(kernel, PAGES + 1000) as LinearMemory
  assert.equal(memory.address % 4096n, 0n)
  using other = Mapping.map(kernel, 'test', fd, PAGES)
  using mapping = Mapping.map(kernel, 'test', fd, PAGES, 0, kernel.pageSize, memory)
  assert.deepEqual([mapping.address, mapping.ownsRange, other.ownsRange], [memory.address, false, true])
  assert.equal(mapping.buffer, memory.buffer)
  const run = memory.instantiate<(address: number) => number>(READ_WORD)
  new Uint32Array(other.buffer)[5] = 41
  assert.deepEqual([new Uint32Array(memory.buffer)[5], run(20)], [41, 42])
  const at = memory.take(100) as number
  assert.equal(at, PAGES)
  new Uint32Array(memory.buffer)[at / 4] = 7
  assert.equal(run(at), 8)
  assert.throws(() => run(memory.buffer.byteLength), /out of bounds/)

  mapping.close()
  assert.deepEqual([run(20), run(at)], [1, 8], 'zeros where the mapping was')
  new Uint32Array(memory.buffer)[5] = 3
  assert.equal(new Uint32Array(other.buffer)[5], 41)
  kernel.close(fd)
})

test('room is given out once, on cache lines, and a mapping comes first', () => {
  const memory = LinearMemory.create(kernel, 65_536) as LinearMemory
  assert.equal(memory.buffer.byteLength, 65_536)
  assert.deepEqual([memory.take(10), memory.take(1), memory.take(65_536 - 128), memory.take(1)], [0, 64, 128, undefined])
  assert.throws(() => memory.takeBeginning(4096), /no 4096 bytes/)
  assert.throws(() => (LinearMemory.create(kernel, 65_536) as LinearMemory).takeBeginning(65_537), /no 65537 bytes/)
})

test('what there is no room for, or no alignment, is not', () => {
  assert.equal(LinearMemory.create(kernel, 2 ** 32 + 1), undefined)
  assert.equal(LinearMemory.create(kernel, 65_536, 2 ** 46), undefined)
})

test('a mapping that fails leaves memory, not a hole', () => {
  const memory = LinearMemory.create(kernel, PAGES) as LinearMemory
  assert.throws(() => Mapping.map(kernel, 'test', 9999, PAGES, 0, kernel.pageSize, memory), { errnoName: 'EBADF' })
  new Uint8Array(memory.buffer).fill(1)
})

test('a module that is none is told, and so is where there are none', async () => {
  assert.ok(isValidModule(READ_WORD))
  assert.ok(!isValidModule(READ_WORD.subarray(0, -1)))
})

test('twenty threads that end with a mapping in theirs leave nothing of it', async () => {
  const source = `
    const { workerData } = require('node:worker_threads')
    ;(async () => {
      const { LinearMemory } = await import(workerData.memory)
      const { Mapping } = await import(workerData.mapping)
      const { openKernel } = await import(workerData.system)
      const kernel = openKernel()
      const memory = LinearMemory.create(kernel, 1 << 20)
      Mapping.map(kernel, 'test', workerData.fd, 1 << 19, 0, kernel.pageSize, memory)
    })()`
  const fd = memfd(1 << 19)
  const workerData = {
    fd,
    memory: import.meta.resolve('#src/kernel/linear-memory.js'),
    mapping: import.meta.resolve('#src/kernel/mapping.js'),
    system: import.meta.resolve('#src/kernel/system.js'),
  }
  for (let i = 0; i < 20; i++) {
    await new Promise((resolve, reject) => {
      new Worker(source, { eval: true, workerData }).on('error', reject).on('exit', resolve)
    })
  }
  const { readFileSync } = await import('node:fs')
  const left = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('memfd:test'))
  assert.deepEqual(left, [])
  kernel.close(fd)
})
