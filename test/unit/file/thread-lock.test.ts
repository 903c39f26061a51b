import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { LOCK_WORDS, ThreadLock } from '#src/file/thread-lock.js'
import { openKernel } from '#src/kernel/system.js'

const freshWords = () => new Int32Array(new SharedArrayBuffer(LOCK_WORDS * 4))
const self = openKernel().gettid()

test('a free lock is taken, and given back', () => {
  const words = freshWords()
  const lock = new ThreadLock(words, self)
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(lock.acquire(), false)
    assert.equal(words[0], self)
    lock.release()
    assert.deepEqual([...words], [0, 0])
  }
})

test('the lock of a thread that is no more is taken over, and that is said', () => {
  const words = freshWords()
  // Above every pid_max.
  words[0] = 0x7fff_fff0
  const lock = new ThreadLock(words, self)
  assert.equal(lock.acquire(), true)
  assert.equal(words[0], self)
  lock.release()
  assert.equal(lock.acquire(), false)
})

test('the lock of a dead thread whose id we have been given is ours', () => {
  const words = freshWords()
  words[0] = self
  assert.equal(new ThreadLock(words, self).acquire(), true)
})

test('the lock of a living thread is waited for', async () => {
  const words = freshWords()
  // Holds the lock as a thread that lives for longer than the life check takes.
  const holder = new Worker(
    `const { parentPort, workerData: words } = require('node:worker_threads')
     const { readlinkSync } = require('node:fs')
     Atomics.store(words, 0, Number(readlinkSync('/proc/thread-self').split('/').pop()))
     parentPort.postMessage('held')
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
     Atomics.store(words, 0, 0)
     Atomics.notify(words, 0, 1)`,
    { eval: true, workerData: words },
  )
  await new Promise((resolve) => holder.once('message', resolve))
  const began = performance.now()
  assert.equal(new ThreadLock(words, self).acquire(), false)
  assert.ok(performance.now() - began > 150)
  await new Promise((resolve) => holder.once('exit', resolve))
})
