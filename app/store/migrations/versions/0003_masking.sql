alter table tenant add column mask_personal_data boolean not null default false;
