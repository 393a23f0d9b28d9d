#!/bin/sh
# The reference of a cold build: the same programs with the same options, one after the other as somebody would type
# them, in one tree that is packed once. Run as root of its own mount and PID namespace:
#     by_hand.sh REPOSITORY WORK SUITE EPOCH TARGETS
# REPOSITORY is a flat one of the very same .debs, TARGETS a file with the packages beyond the base, one a line.
set -eu
repository=$1 work=$2 suite=$3 targets=$5
export SOURCE_DATE_EPOCH=$4 TZ=UTC LC_ALL=C.UTF-8 E2FSPROGS_FAKE_TIME=$4
mkdir -p "$work/root" && mount -t tmpfs -o mode=755,size=6g tmpfs "$work/root"
root=$work/root
hooks=/usr/share/mmdebstrap/hooks/maybe-merged-usr
mmdebstrap --quiet --mode=root --variant=minbase --format=directory ${hooks:+--hook-directory=$hooks} \
    "$suite" "$root" "deb [trusted=yes] copy:$repository ./"

mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
mkdir -p "$root/run/repository" && mount --bind "$repository" "$root/run/repository"
echo 'deb [trusted=yes] file:/run/repository ./' > "$root/run/sources.list"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
apt="apt-get -q -y -o Dir::Etc::sourcelist=/run/sources.list -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root"
quiet="env DEBIAN_FRONTEND=noninteractive INITRD=No chroot $root"
$quiet $apt update
# shellcheck disable=SC2046 # one word for each package
$quiet $apt -o Dpkg::Options::=--force-unsafe-io -o APT::Install-Recommends=false install -- $(cat "$targets")
chroot "$root" update-initramfs -c -k all
rm -f "$root/usr/sbin/policy-rc.d"; rm -rf "$root/run/sources.list" "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
umount "$root/run/repository"; umount --recursive --lazy "$root/dev"; umount "$root/proc"

# The disk image.
kernel=$(basename "$root"/boot/vmlinuz-*); initrd=$(basename "$root"/boot/initrd.img-*)
mkdir -p "$root/boot/grub" "$work/iso/live" "$work/iso/boot/grub"
uuid=6f7e3a52-0000-4000-8000-00000000d15c
cat > "$root/boot/grub/grub.cfg" <<M
linux /boot/$kernel root=UUID=$uuid ro console=ttyS0
initrd /boot/$initrd
boot
M
echo "UUID=$uuid / ext4 defaults,errors=remount-ro 0 1" > "$root/etc/fstab"
kib=$(du -s --apparent-size "$root" | cut -f1); blocks=$(( (kib * 13 / 10 + 262144) / 4 ))
truncate -s $(( 69206016 + blocks * 4096 + 1048576 )) "$work/disk.raw"
sfdisk -q --no-reread --no-tell-kernel "$work/disk.raw" <<M
label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
start=4096, size=131072, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=135168, size=$(( blocks * 8 )), type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
M
modules="part_gpt part_msdos ext2 fat normal configfile linux search search_fs_uuid search_label serial echo test ls cat reboot halt gzio all_video loadenv"
echo "search --no-floppy --fs-uuid --set=root $uuid; set prefix=(\$root)/boot/grub; configfile (\$root)/boot/grub/grub.cfg" > "$work/start.cfg"
grub-mkimage -O i386-pc -p /boot/grub -c "$work/start.cfg" -o "$work/core.img" $modules biosdisk
grub-mkimage -O x86_64-efi -p /boot/grub -c "$work/start.cfg" -o "$work/BOOTX64.EFI" $modules efi_gop efi_uga
mkfs.vfat --invariant -F 32 -s 1 -n ESP -i 01234567 --offset 4096 "$work/disk.raw" 65536 > /dev/null
mmd -i "$work/disk.raw@@2M" ::/EFI ::/EFI/BOOT && mcopy -i "$work/disk.raw@@2M" "$work/BOOTX64.EFI" ::/EFI/BOOT/
mke2fs -q -F -t ext4 -L root -b 4096 -U $uuid -O ^metadata_csum_seed,^orphan_file -E offset=69206016,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0,nodiscard \
    -d "$root" "$work/disk.raw" ${blocks}
dd if=/usr/lib/grub/i386-pc/boot.img of="$work/disk.raw" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$work/disk.raw" bs=512 seek=2048 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd "$work/disk.raw" "$work/disk.qcow2"

# The live medium.
cp "$root/boot/$kernel" "$work/iso/live/vmlinuz"; cp "$root/boot/$initrd" "$work/iso/live/initrd"
tar --create --sort=name --numeric-owner --format=posix --xattrs --xattrs-include='*' --one-file-system --exclude='./dev/*' -C "$root" . |
    mksquashfs - "$work/iso/live/filesystem.squashfs" -tar -no-progress -quiet -exports -comp zstd -Xcompression-level 9 -b 128K
echo "linux /live/vmlinuz boot=live components=none; initrd /live/initrd; boot" > "$work/iso/boot/grub/grub.cfg"
grub-mkimage -O i386-pc-eltorito -p /boot/grub -o "$work/iso/boot/grub/eltorito.img" $modules biosdisk iso9660
mkfs.vfat --invariant -F 12 -n ESP -i 01234567 -C "$work/efi.img" 4096 > /dev/null
mmd -i "$work/efi.img" ::/EFI ::/EFI/BOOT && mcopy -i "$work/efi.img" "$work/BOOTX64.EFI" ::/EFI/BOOT/
xorriso -as mkisofs -quiet -iso-level 3 -r -J -joliet-long -V BYHAND --grub2-mbr /usr/lib/grub/i386-pc/boot_hybrid.img \
    --protective-msdos-label -partition_offset 16 -c boot/boot.cat -b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table \
    --grub2-boot-info -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot \
    -append_partition 2 C12A7328-F81F-11D2-BA4B-00A0C93EC93B "$work/efi.img" -appended_part_as_gpt -o "$work/live.iso" "$work/iso"
sha256sum "$work/disk.qcow2" "$work/live.iso"
