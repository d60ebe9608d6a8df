/*
 * sched/switch_x86_64.S - the stack switch for x86-64 System V.
 *
 * A saved context is a record of three words on the coroutine's stack, at the address that its sp holds:
 *
 *      0   pc   where to jump
 *      8   fp   rbp
 *     16   sp   rsp, as the code at pc expects it
 *
 * What else has to be restored is known to the code at pc alone. So this file, the inline switch in
 * coroutine.h and fresh coroutines can resume each other.
 *
 * Indirect jumps, not ret: a ret into another stack than that of its call is predicted wrong. rdl_switch_stacks()
 * is used where coroutine.h has no inline switch. Each target begins with endbr64, save the return address, which
 * needs notrack. The note claims IBT only: the shadow stack, if there is one, is not switched.
 */
    .text

/* void rdl_switch_stacks(void **save, void *load) */
    .globl  rdl_switch_stacks
    .hidden rdl_switch_stacks
    .type   rdl_switch_stacks, @function
    .p2align 6
rdl_switch_stacks:
    .cfi_startproc
    endbr64
    pushq   %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset %rbx, -16
    pushq   %r12
    .cfi_def_cfa_offset 24
    .cfi_offset %r12, -24
    pushq   %r13
    .cfi_def_cfa_offset 32
    .cfi_offset %r13, -32
    pushq   %r14
    .cfi_def_cfa_offset 40
    .cfi_offset %r14, -40
    pushq   %r15
    .cfi_def_cfa_offset 48
    .cfi_offset %r15, -48

    /* The record lies in the red zone, where no signal handler writes. */
    leaq    .Lresume(%rip), %rax
    movq    %rax, -24(%rsp)
    movq    %rbp, -16(%rsp)
    movq    %rsp, -8(%rsp)
    leaq    -24(%rsp), %rax
    movq    %rax, (%rdi)

    movq    16(%rsi), %rsp
    .cfi_remember_state
    .cfi_undefined %rip     /* on the frame of another: nobody unwinds from here */
    movq    8(%rsi), %rbp
    jmpq    *(%rsi)
    .cfi_restore_state
    int3                    /* not reached: the frame is looked up by the address before .Lresume */

.Lresume:
    endbr64
    popq    %r15
    .cfi_def_cfa_offset 40
    .cfi_restore %r15
    popq    %r14
    .cfi_def_cfa_offset 32
    .cfi_restore %r14
    popq    %r13
    .cfi_def_cfa_offset 24
    .cfi_restore %r13
    popq    %r12
    .cfi_def_cfa_offset 16
    .cfi_restore %r12
    popq    %rbx
    .cfi_def_cfa_offset 8
    .cfi_restore %rbx
    popq    %rcx
    .cfi_def_cfa_offset 0
    .cfi_register %rip, %rcx
    notrack jmpq *%rcx
    .cfi_endproc
    .size   rdl_switch_stacks, .-rdl_switch_stacks

/* Where a fresh coroutine starts: the stack holds fn and arg, and nothing above them. And ends: fn returns the
 * struct rdl_coroutine to be resumed, whose first word is its sp. */
    .globl  rdl_switch_start
    .hidden rdl_switch_start
    .type   rdl_switch_start, @function
    .p2align 4
rdl_switch_start:
    .cfi_startproc
    .cfi_undefined %rip     /* the outermost frame */
    .cfi_def_cfa_offset 16
    endbr64
    popq    %rax
    .cfi_def_cfa_offset 8
    popq    %rdi
    .cfi_def_cfa_offset 0
    callq   *%rax           /* rsp is a multiple of 16 before the call, as the ABI wants it */
    movq    (%rax), %rsi
    movq    16(%rsi), %rsp
    movq    8(%rsi), %rbp
    jmpq    *(%rsi)
    .cfi_endproc
    .size   rdl_switch_start, .-rdl_switch_start

    .section .note.gnu.property, "a", @note
    .p2align 3
    .long   4               /* name size */
    .long   16              /* descriptor size */
    .long   5               /* NT_GNU_PROPERTY_TYPE_0 */
    .asciz  "GNU"
    .long   0xc0000002      /* GNU_PROPERTY_X86_FEATURE_1_AND */
    .long   4
    .long   1               /* IBT */
    .long   0

    .section .note.GNU-stack, "", @progbits
