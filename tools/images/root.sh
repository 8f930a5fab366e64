# For scripts that fill the root of an image for VMs (source it).
put_busybox() { # root folder
  mkdir -p "$1"/{bin,dev,proc,sys,tmp,run}
  cp /bin/busybox "$1/bin/busybox"
  for applet in $(/bin/busybox --list | grep -v '^busybox$'); do ln -s busybox "$1/bin/$applet"; done
}
