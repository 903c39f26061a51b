/**
 * What writing capture files costs beside write(2) itself, without root: an append to a sink, with and without the guard, and a packet
 * through createCaptureFile, everything to /dev/null.
 *
 *   node build/bench/file-write.js
 */
import { createCaptureFile } from '#src/file/create.js'
import { Guard } from '#src/file/guard.js'
import { createSinkShared, RecordSink, WORD, wordsOf } from '#src/file/sink.js'
import { openKernel } from '#src/kernel/system.js'

const ROUNDS = 7
const APPENDS = 200_000
const PACKETS = 1_000_000

const O_WRONLY = 1

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] as number
}

async function nanosecondsEach(count: number, run: () => Promise<void> | void): Promise<string> {
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now()
    await run()
    rounds.push(((performance.now() - began) * 1e6) / count)
  }
  return `${median(rounds).toFixed(0).padStart(6)} ns`
}

const kernel = openKernel()
const fd = kernel.open('/dev/null', O_WRONLY)
const bytes = new Uint8Array(64 * 1024)

console.log(
  'write(2) of 64 KiB       ',
  await nanosecondsEach(APPENDS, () => {
    for (let append = 0; append < APPENDS; append++) kernel.write(fd, bytes)
  }),
)
for (const guarded of [false, true]) {
  const shared = createSinkShared({ fd, isRegular: false, size: 0 })
  const guard = guarded ? Guard.start(kernel) : undefined
  if (guard !== undefined) wordsOf(shared.lock).words[WORD.guardFd] = guard.memoryFd
  const sink = new RecordSink(kernel, shared)
  console.log(
    guarded ? 'an append of it, guarded ' : 'an append of it          ',
    await nanosecondsEach(APPENDS, () => {
      for (let append = 0; append < APPENDS; append++) sink.append(bytes, bytes.byteLength)
    }),
  )
  await guard?.close()
}
kernel.close(fd)

for (const format of ['pcap', 'pcapng'] as const) {
  for (const length of [60, 1500]) {
    const writer = await createCaptureFile('/dev/null', { format })
    const packet = { bytes: new Uint8Array(2000), offset: 64, capturedLength: length, wireLength: length, seconds: 1_700_000_000, nanoseconds: 1 }
    console.log(
      `${format.padEnd(6)} packet of ${String(length).padEnd(4)}    `,
      await nanosecondsEach(PACKETS, () => {
        for (let index = 0; index < PACKETS; index++) {
          packet.nanoseconds = index
          writer.write(packet)
        }
      }),
    )
    await writer.close()
  }
}
