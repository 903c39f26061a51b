/** The file of `ringtap replay` as packets to transmit. */
import { openCaptureFile, type TransmitPackets } from '../index.js'

/**
 * @throws CaptureError FILE_FAILED, INVALID_FILE, INVALID_FILTER; of what is damaged later the packets before it are given first.
 */
export async function openReplayFile(path: string, filter: string | undefined, signal: AbortSignal): Promise<TransmitPackets> {
  const file = await openCaptureFile(path, { filter, signal })
  const batches = file.batches()
  return {
    async nextBatch() {
      const { done, value } = await batches.next()
      return done === true ? undefined : value
    },
    close: () => file.close(),
  }
}
