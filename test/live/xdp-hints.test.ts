/** What the driver tells of packets beside their bytes: on a veth VLAN tags, and time stamps where a test puts them in the driver's mouth. */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { asksForTag, type Tag, tagPacketsOf } from '../support/tagger.js'
import type { CaptureEvent, CaptureOptions } from '#src/capture/api.js'
import { openCaptureWith } from '#src/capture/open.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { createTestbed, type Testbed } from '#src/testbed/index.js'
import { assertAccount, caughtUp, handlerUrl, live, numberedFrame, RawSender } from '../support/live.js'
import type { Collected } from './handlers/collect.js'

const HINTS = { backend: 'xdp', hardwareHints: true } as const
const COLLECT = { handler: handlerUrl('collect') }

async function opened(testbed: Testbed, options: Omit<CaptureOptions, 'interface'> = {}, kernel: Kernel = openKernel()) {
  const events: CaptureEvent[] = []
  const capture = await openCaptureWith(kernel, { ...testbed.receiver, ...HINTS, ...COLLECT, onEvent: (event) => events.push(event), ...options })
  const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  return { capture, events, warnings }
}

live('x', async () => {
  using testbed = createTestbed({ queues: 1 })
  using sender = new RawSender(testbed.sender)
  using _tags = tagPacketsOf(testbed.sender)
  for (const options of [{}, { hardwareHints: false }, { xdpMode: 'generic' }] as const) {
    const { capture, events } = await opened(testbed, options)
    console.log(events)
    sender.send(asksForTag(numberedFrame(1), undefined), asksForTag(numberedFrame(2), { tpid: 0x8100, tci: 0xa005 }), asksForTag(numberedFrame(3), { tpid: 0x88a8, tci: 7 }))
    await caughtUp(capture, 3)
    console.log(await capture.snapshot())
    console.log(await capture.stop())
  }
})
