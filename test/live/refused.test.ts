/** Interfaces that a capture refuses, with the word that helps: not Ethernet, down, not there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { CaptureError } from '#src/errors.js'
import { createTestbed } from '#src/testbed/index.js'
import { inNamespace, live, openOn } from '../support/live.js'

const MAIN = fileURLToPath(import.meta.resolve('#src/cli/main.js'))

/** Three datagrams from a socket to itself. */
const TO_ITSELF = `
  import { createSocket } from 'node:dgram'
  const socket = createSocket('udp4')
  await new Promise((done) => socket.bind(0, '127.0.0.1', done))
  for (let left = 3; left > 0; left--) await new Promise((done) => socket.send('x', socket.address().port, '127.0.0.1', done))
  socket.close()
`

live('a tunnel of layer 3 is not Ethernet', async () => {
  using testbed = createTestbed()
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'tuntap', 'add', 'dev', 'tun0', 'mode', 'tun')
  inNamespace(netns, 'ip', 'link', 'set', 'tun0', 'up')
  await assert.rejects(openOn(testbed, { interface: 'tun0' } as object), (error: CaptureError) => {
    assert.ok(error instanceof CaptureError)
    assert.equal(error.code, 'UNSUPPORTED_LINK_TYPE')
    assert.match(error.message, /^tun0: link type 65534 .* not Ethernet$/)
    return true
  })
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'capture', '-i', 'tun0', '--netns', netns], { encoding: 'utf8', timeout: 20_000 })
  assert.equal(status, 3)
  assert.match(stderr, /^ringtap: tun0: link type 65534 .*\n {2}capture on the Ethernet interface that carries this one\n$/)
})

live('an interface that is down is told, with the command that helps', async () => {
  using testbed = createTestbed()
  inNamespace(testbed.receiver.netns, 'ip', 'link', 'set', testbed.receiver.interface, 'down')
  await assert.rejects(openOn(testbed), { code: 'INTERFACE_DOWN', hint: `ip link set ${testbed.receiver.interface} up` })
})

live('loopback shows each packet once', async () => {
  using testbed = createTestbed()
  const { netns } = testbed.receiver
  inNamespace(netns, 'ip', 'link', 'set', 'lo', 'up')
  await using capture = await openOn(testbed, { interface: 'lo' } as object)
  inNamespace(netns, process.execPath, '--input-type=module', '--eval', TO_ITSELF)
  const { packets, drops } = await capture.stop()
  assert.equal(packets, 3)
  assert.equal(drops.ring, 0)
})

live('what cannot be cloned to a worker is refused before anything is opened', async () => {
  using testbed = createTestbed()
  await assert.rejects(openOn(testbed, { handlerData: () => {} }), { code: 'INVALID_OPTION', message: /handlerData.*could not be cloned/ })
})

live('a testbed whose wire somebody else deleted still closes', () => {
  using testbed = createTestbed()
  inNamespace(testbed.receiver.netns, 'ip', 'link', 'delete', testbed.receiver.interface)
  testbed.close()
})
