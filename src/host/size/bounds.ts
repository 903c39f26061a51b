/** What sizeCapture takes, least and most. */
export const SIZE_BOUNDS = {
  packetsPerSecond: [1, 1e10],
  lineBitsPerSecond: [1e6, 1e13],
  frameBytes: [64, 9216],
  burstMs: [0.001, 1000],
  holdMs: [0, 10_000],
  cores: [1, 256],
  memoryBytes: [1, Number.MAX_SAFE_INTEGER],
  handlerNs: [0, 1e9],
  load: [0.01, 1],
  pageSizeBytes: [4096, 2 ** 20],
} as const
