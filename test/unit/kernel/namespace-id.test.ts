import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EPERM } from '#src/kernel/errno.js'
import { namespaceOfId } from '#src/kernel/namespace-id.js'
import { encodeAttributes, RouteSocket } from '#src/kernel/netlink.js'
import { type Answer, ack, answering, number32, refusal } from '../../support/netlink-answers.js'

const RTM_NEWNSID = 88
const NETNSA_NSID = 1
const NETNSA_PID = 2
const NETNSA_FD = 3
const ESRCH = 3

const called = (id: number): Answer => ({ type: RTM_NEWNSID, body: encodeAttributes([[NETNSA_NSID, number32(id)]], new Uint8Array(4)) })

/** Namespaces with a name, and processes, of which each answer is about one; where the one with the number 5 is. */
function found(names: string[], processes: string[], ...answers: Answer[][]): { path: string | undefined; asked: number[] } {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-names-'))
  try {
    for (const kind of ['netns', 'proc']) mkdirSync(join(folder, kind))
    for (const name of names) writeFileSync(join(folder, 'netns', name), '')
    for (const name of processes) mkdirSync(join(folder, 'proc', name))
    const { kernel, requests } = answering(...answers.map((it) => [it]))
    using socket = RouteSocket.open(kernel)
    const path = namespaceOfId(kernel, socket, 5, join(folder, 'netns'), join(folder, 'proc'))
    assert.equal(kernel.openDescriptors.length, 1)
    // The type of the one attribute, behind two headers.
    return { path: path?.slice(folder.length), asked: requests.map((it) => new DataView(it.buffer, it.byteOffset).getUint16(22, true)) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('a namespace is found by its name, else by a process in it', () => {
  assert.deepEqual(found(['blue'], ['1'], [called(5), ack]), { path: '/netns/blue', asked: [NETNSA_FD] })
  assert.deepEqual(found(['blue'], ['1'], [called(4), ack], [called(5), ack]), { path: '/proc/1/ns/net', asked: [NETNSA_FD, NETNSA_PID] })
})

test('what has no number, has ended, or answers nothing is not it', () => {
  const nothing = { path: undefined, asked: [NETNSA_PID] }
  for (const answer of [[called(-1), ack], [refusal(ESRCH)], [refusal(EPERM)], [ack], [{ type: RTM_NEWNSID, body: new Uint8Array(4) }, ack]])
    assert.deepEqual(found([], ['7'], answer), nothing)
  assert.deepEqual(found([], ['self', 'sys', '7x']), { path: undefined, asked: [] })
})

test('folders that are not there hold nothing', () => {
  const { kernel } = answering()
  using socket = RouteSocket.open(kernel)
  assert.equal(namespaceOfId(kernel, socket, 5, '/nosuch/netns', '/nosuch/proc'), undefined)
})
