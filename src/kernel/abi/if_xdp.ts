/** linux/if_xdp.h: AF_XDP sockets. */

export const XDP_SHARED_UMEM = 1 << 0
export const XDP_COPY = 1 << 1
export const XDP_ZEROCOPY = 1 << 2
export const XDP_USE_NEED_WAKEUP = 1 << 3
/** Packets may take several descriptors; since Linux 6.6. */
export const XDP_USE_SG = 1 << 4

/** In `options` of a descriptor: the packet goes on in the next one; since Linux 6.6. */
export const XDP_PKT_CONTD = 1 << 0

export const XDP_MMAP_OFFSETS = 1
export const XDP_RX_RING = 2
export const XDP_TX_RING = 3
export const XDP_UMEM_REG = 4
export const XDP_UMEM_FILL_RING = 5
export const XDP_UMEM_COMPLETION_RING = 6
export const XDP_STATISTICS = 7
export const XDP_OPTIONS = 8

export const XDP_OPTIONS_ZEROCOPY = 1 << 0
export const XDP_RING_NEED_WAKEUP = 1 << 0

export const XDP_PGOFF_RX_RING = 0
export const XDP_PGOFF_TX_RING = 0x8000_0000
export const XDP_UMEM_PGOFF_FILL_RING = 0x1_0000_0000
export const XDP_UMEM_PGOFF_COMPLETION_RING = 0x1_8000_0000

export const SOCKADDR_XDP = { sxdp_family: 0, sxdp_flags: 2, sxdp_ifindex: 4, sxdp_queue_id: 8, sxdp_shared_umem_fd: 12, sizeof: 16 } as const

/** Up to `flags`: what Linux 5.4 to 6.7 took; newer ones still do. */
export const XDP_UMEM_REG_V2 = { addr: 0, len: 8, chunk_size: 16, headroom: 20, flags: 24, sizeof: 32 } as const

/** struct xdp_ring_offset. */
export const XDP_RING_OFFSET = { producer: 0, consumer: 8, desc: 16, flags: 24, sizeof: 32 } as const
/** struct xdp_mmap_offsets; since Linux 5.4 each with `flags`. */
export const XDP_MMAP_OFFSETS_LAYOUT = { rx: 0, tx: 32, fr: 64, cr: 96, sizeof: 128 } as const

/** struct xdp_statistics; the last three since Linux 5.9. */
export const XDP_STATISTICS_LAYOUT = {
  rx_dropped: 0,
  rx_invalid_descs: 8,
  tx_invalid_descs: 16,
  rx_ring_full: 24,
  rx_fill_ring_empty_descs: 32,
  tx_ring_empty_descs: 40,
  sizeof: 48,
} as const

/** struct xdp_desc: an entry of an RX or TX ring. Entries of the others are the 64-bit `addr` alone. */
export const XDP_DESC = { addr: 0, len: 8, options: 12, sizeof: 16 } as const

/** Bytes before each packet, beside the headroom that is asked for; of no use to the kernel once it has handed the packet over (linux/bpf.h). */
export const XDP_PACKET_HEADROOM = 256
