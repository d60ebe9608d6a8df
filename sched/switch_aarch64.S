/*
 * sched/switch_aarch64.S - the stack switch for AArch64 (AAPCS64).
 *
 * A saved context is twenty words at the bottom of the coroutine's stack, at the address that its sp
 * holds: x29, x30, x19 to x28, d8 to d15. x30 is signed with the stack pointer above those words.
 *
 * It ends in ret, unlike x86-64's: a jump back through a register would need a landing pad after every
 * call, and ret needs none. Call and ret stay paired, so a switch from and to the same function is
 * predicted.
 */
    .text

#define FRAME 160

/* void rdl_switch_stacks(void **save, void *load) */
    .globl  rdl_switch_stacks
    .hidden rdl_switch_stacks
    .type   rdl_switch_stacks, %function
    .p2align 6
rdl_switch_stacks:
    .cfi_startproc
    hint    #25             /* paciasp, a landing pad as well */
    .cfi_negate_ra_state
    sub     sp, sp, #FRAME
    .cfi_def_cfa_offset FRAME
    stp     x29, x30, [sp, #0]
    .cfi_offset x29, -160
    .cfi_offset x30, -152
    stp     x19, x20, [sp, #16]
    .cfi_offset x19, -144
    .cfi_offset x20, -136
    stp     x21, x22, [sp, #32]
    .cfi_offset x21, -128
    .cfi_offset x22, -120
    stp     x23, x24, [sp, #48]
    .cfi_offset x23, -112
    .cfi_offset x24, -104
    stp     x25, x26, [sp, #64]
    .cfi_offset x25, -96
    .cfi_offset x26, -88
    stp     x27, x28, [sp, #80]
    .cfi_offset x27, -80
    .cfi_offset x28, -72
    stp     d8, d9, [sp, #96]
    .cfi_offset d8, -64
    .cfi_offset d9, -56
    stp     d10, d11, [sp, #112]
    .cfi_offset d10, -48
    .cfi_offset d11, -40
    stp     d12, d13, [sp, #128]
    .cfi_offset d12, -32
    .cfi_offset d13, -24
    stp     d14, d15, [sp, #144]
    .cfi_offset d14, -16
    .cfi_offset d15, -8
    mov     x9, sp
    str     x9, [x0]

    mov     sp, x1
.Lload:
    ldp     d14, d15, [sp, #144]
    ldp     d12, d13, [sp, #128]
    ldp     d10, d11, [sp, #112]
    ldp     d8, d9, [sp, #96]
    ldp     x27, x28, [sp, #80]
    ldp     x25, x26, [sp, #64]
    ldp     x23, x24, [sp, #48]
    ldp     x21, x22, [sp, #32]
    ldp     x19, x20, [sp, #16]
    ldp     x29, x30, [sp, #0]
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore d8
    .cfi_restore d9
    .cfi_restore d10
    .cfi_restore d11
    .cfi_restore d12
    .cfi_restore d13
    .cfi_restore d14
    .cfi_restore d15
    add     sp, sp, #FRAME
    .cfi_def_cfa_offset 0
    hint    #29             /* autiasp */
    .cfi_negate_ra_state
    ret
    .cfi_endproc
    .size   rdl_switch_stacks, .-rdl_switch_stacks

/* Where a fresh coroutine starts: x19 is fn, x20 is arg. And ends: fn returns the struct rdl_coroutine to be
 * resumed, whose first word is its sp. */
    .globl  rdl_switch_start
    .hidden rdl_switch_start
    .type   rdl_switch_start, %function
    .p2align 4
rdl_switch_start:
    .cfi_startproc
    .cfi_undefined x30      /* the outermost frame */
    hint    #36             /* bti j */
    mov     x0, x20
    blr     x19
    ldr     x1, [x0]
    mov     sp, x1
    b       .Lload          /* whose frame this is now */
    .cfi_endproc
    .size   rdl_switch_start, .-rdl_switch_start

    .section .note.gnu.property, "a", %note
    .p2align 3
    .word   4               /* name size */
    .word   16              /* descriptor size */
    .word   5               /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz  "GNU"
    .word   0xc0000000      /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
    .word   4
    .word   3               /* BTI and PAC */
    .word   0

    .section .note.GNU-stack, "", %progbits
