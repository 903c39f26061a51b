/** How capture files are compressed. */

export const COMPRESSIONS = ['gzip', 'zstd'] as const

export type Compression = (typeof COMPRESSIONS)[number]
