/** The file of `ringtap replay` as packets to transmit. */
import { openCaptureFile, type TransmitPackets } from '../index.js'

export interface ReplayFileOptions {
  filter?: string | undefined
  /** Goes on behind damage. */
  tolerant?: boolean | undefined
  signal: AbortSignal
  /** At the end of the file: bytes passed over because of damage, where there are any. */
  onSkipped?: ((name: string, bytes: number) => void) | undefined
}

/**
 * @throws CaptureError FILE_FAILED, INVALID_FILE, INVALID_FILTER; of what is damaged later the packets before it are given first.
 */
export async function openReplayFile(path: string, { filter, tolerant, signal, onSkipped }: ReplayFileOptions): Promise<TransmitPackets> {
  const file = await openCaptureFile(path, { filter, tolerant, signal })
  const batches = file.batches()
  return {
    async nextBatch() {
      const { done, value } = await batches.next()
      if (done !== true) return value
      if (file.skippedBytes > 0) onSkipped?.(file.name, file.skippedBytes)
      return undefined
    },
    close: () => file.close(),
  }
}
