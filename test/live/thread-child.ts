/** A worker thread that opens a capture, or counts in the kernel, and ends in one of several ways. */
import { parentPort, workerData } from 'node:worker_threads'
import type { CaptureOptions } from '#src/capture/api.js'
import { countInKernel } from '#src/capture/kernel-count.js'
import { openCapture } from '#src/capture/open.js'

const { options, way, counts } = workerData as { options: CaptureOptions; way: 'exit' | 'error' | 'stop'; counts: boolean }

const capture = counts ? countInKernel(options as { interface: string }) : await openCapture(options)
parentPort?.postMessage('open')
await new Promise((resolve) => setTimeout(resolve, 100))
if (way === 'exit') process.exit(0)
if (way === 'stop') await ('stop' in capture ? capture.stop() : capture.close())
else throw new Error('meant')
